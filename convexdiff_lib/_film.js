function ({captions, moving, seconds}) {
  const film = document.currentScript.parentElement;
  const [slider, button, caption] = ["input", "button", "output"].map((name) => film.querySelector(name));
  const paths = film.querySelectorAll("[data-moves]");
  const last = captions.length - 1;
  let timer = 0;

  function show(frame) {
    slider.value = frame;
    slider.setAttribute("aria-valuetext", captions[frame]);
    caption.textContent = captions[frame];
    paths.forEach((path, i) => path.setAttribute("d", moving[i][frame]));
  }
  function pause() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  }
  function step() {
    if (+slider.value < last) show(+slider.value + 1);
    if (+slider.value === last || !film.isConnected) pause();
  }
  function play() {
    if (+slider.value === last) show(0);
    button.textContent = "Pause";
    timer = setInterval(step, 1000 * seconds / last);
  }

  button.addEventListener("click", () => timer ? pause() : play());
  slider.addEventListener("input", () => { pause(); show(+slider.value); });
  film.querySelector(".panels").addEventListener("click", () => slider.focus({preventScroll: true}));
  // A slider knows these keys by itself; here they work from the button, too.
  film.addEventListener("keydown", (event) => {
    const way = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
    if (!way || event.target === slider) return;
    event.preventDefault();
    pause();
    show(Math.max(0, Math.min(last, +slider.value + way)));
  });
  for (const panel of film.querySelectorAll(".handle")) {
    const places = JSON.parse(panel.dataset.places);
    const follow = (event) => {
      if (!event.buttons) return;
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(panel.getScreenCTM().inverse());
      const far = (k) => Math.hypot(places[2 * k] - p.x, places[2 * k + 1] - p.y);
      pause();
      show(captions.reduce((best, _, k) => far(k) < far(best) ? k : best, 0));
    };
    panel.addEventListener("pointerdown", follow);
    panel.addEventListener("pointermove", follow);
  }
  film.querySelector(".controls").hidden = false;
}
