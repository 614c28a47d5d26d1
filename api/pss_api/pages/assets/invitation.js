import { call } from "./interface.js";
import { element, onSubmit, show } from "./forms.js";
import { takeToken } from "./links.js";

const token = takeToken();
show(token ? "choose" : "no-link");
onSubmit(element("choose").querySelector("form"), async ({ password }) => {
  await call("POST", "/account-links/acceptances", { token, password });
  show("done");
});
