// Unpacks what a report's plots are drawn with, and draws them.
(async () => {
  const { nonce } = document.currentScript;
  const unpacked = (id) => {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  try {
    if (!window.DecompressionStream) throw new Error("this browser is too old");
    const script = document.createElement("script");
    script.nonce = nonce;
    script.textContent = await unpacked("bokeh");
    document.head.append(script);
    const items = JSON.parse(document.getElementById("items").textContent);
    await Bokeh.embed.embed_items(JSON.parse(await unpacked("plots")), items);
  } catch (error) {
    const notice = document.getElementById("undrawn");
    notice.querySelector("span").textContent = error.message;
    notice.hidden = false;
    throw error;
  }
})();
