/** Start every instrument of a page: `<div data-live="name">` gets what the module `name.mjs` draws. */

import {Stage} from "./stage.mjs";

async function start(root) {
  const instrument = await import(`./${root.dataset.live}.mjs`);
  root.querySelector(".live-off")?.remove();
  instrument.default(new Stage(root));
  root.classList.add("live-on");
}

for (const root of document.querySelectorAll("[data-live]")) await start(root);
