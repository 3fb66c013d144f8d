"""Text that runs in a browser where it is taken for markup."""

SCRIPT = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
RAN = "window.pwned"
"""An expression of JavaScript that is undefined until that has run."""
