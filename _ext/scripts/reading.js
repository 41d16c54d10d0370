// What a page needs from scripts, so that it can be read on paper and without a mouse.
(function () {
  // On paper nothing can be unfolded.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("article details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });

  // What scrolls in its own box can be reached by keys, and style sheets can say that it scrolls.
  const wide = "figure, pre, .math, div.text_html, div.pst-scrollable-table-container, mjx-container";
  function mark() {
    for (const box of document.querySelectorAll("article span.math")) {
      box.classList.toggle("long", box.firstElementChild?.offsetWidth > box.clientWidth + 1);
    }
    for (const box of document.querySelectorAll(`article :is(${wide})`)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto";
      box.classList.toggle("scrolls", scrolls);
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  addEventListener("load", async () => {
    if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
    mark();
    document.addEventListener("toggle", mark, true);
    addEventListener("resize", mark);
  });
})();
