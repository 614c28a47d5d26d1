import { call } from "./interface.js";
import { element, onSubmit, show } from "./forms.js";
import { takeToken } from "./links.js";

const token = takeToken();
show(token ? "confirm" : "no-link");
// By a click, not by itself: programs that look through mails open links too.
onSubmit(element("confirm").querySelector("form"), async () => {
  await call("POST", "/account-links/verifications", { token });
  show("done");
});
