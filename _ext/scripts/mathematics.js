// Formulas in view are typeset first, the others in small pieces after them, so that a page answers meanwhile.
(function () {
  const PIECE = 80;  // each piece makes the browser lay out the page once

  function inView(element) {
    const {top, bottom} = element.getBoundingClientRect();
    return bottom > -200 && top < innerHeight + 200;
  }
  async function typesetInPieces() {
    const all = [...document.querySelectorAll(".math")].filter((e) => !e.parentElement.closest(".math"));
    const seen = all.filter(inView);
    await MathJax.typesetPromise(seen);
    const rest = all.filter((e) => !seen.includes(e));
    for (let k = 0; k < rest.length; k += PIECE) {
      await new Promise((resolve) => setTimeout(resolve));
      await MathJax.typesetPromise(rest.slice(k, k + PIECE));
    }
  }
  MathJax.startup = {...MathJax.startup, pageReady: typesetInPieces};
})();
