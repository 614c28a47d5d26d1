// The token of a link in a mail stands behind the "#", which no browser sends to a server.
// It leaves the address bar, and with it the history, before anything else happens.

export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  // Another link, opened in the same tab, differs behind the "#" only and loads nothing by itself.
  addEventListener("hashchange", () => location.reload());
  return token;
}
