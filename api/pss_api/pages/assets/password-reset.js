import { call } from "./interface.js";
import { element, onSubmit, show } from "./forms.js";
import { takeToken } from "./links.js";

const token = takeToken();
show(token ? "choose" : "ask");
onSubmit(element("ask").querySelector("form"), async ({ email }) => {
  await call("POST", "/password-resets", { email });
  show("asked");
});
onSubmit(element("choose").querySelector("form"), async ({ password }) => {
  await call("POST", "/password-resets/confirm", { token, password });
  show("done");
});
