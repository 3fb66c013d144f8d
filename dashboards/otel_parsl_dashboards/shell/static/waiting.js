/* Show the page with its numbers once these are there: what is asked here is answered then. */
let isLeft = false;
addEventListener("beforeunload", () => { isLeft = true; });  // for another page
fetch(location.href, { headers: { "X-Otel-Parsl-Wait": "1" }, cache: "no-store" })
  .finally(() => { if (!isLeft) location.reload(); });
