/**
 * The stage of an instrument: controls, charts in a row, one line that says the numbers, and below it what edits
 * the data.
 *
 * An instrument is a module with one default function that is called with a {@link Stage}. It asks the stage for
 * charts and controls, and gives it one function that draws everything from their values:
 *
 *     export default function (stage) {
 *       const chart = stage.chart({title: "a parabola", x: [-2, 2], y: [0, 4], xlabel: "x"});
 *       const bend = stage.slider({label: "curvature", min: 0.1, max: 10, value: 1, log: true});
 *       stage.draw(() => {
 *         const x = grid(-2, 2, 101);
 *         chart.line("curve", x, x.map((t) => bend.value * t * t));
 *         stage.say(["the curvature is ", stage.number("bend", bend.value)]);
 *       });
 *     }
 *
 * Whatever a reader changes asks for a new drawing; there is at most one in each frame of the screen.
 */

import {Chart, element, written} from "./chart.mjs";
import {Button, Choice, Copy, Numbers, Player, Select, Slider, Toggle} from "./controls.mjs";
import {Points} from "./points.mjs";

export {element, ticks, written} from "./chart.mjs";
export {numbers} from "./controls.mjs";

const QUIET = 700; // milliseconds without a change, after which the numbers are read out

export class Stage {
  /** @param {HTMLElement} root - where the instrument goes; `data-begin="name name=value …"` becomes `begin` */
  constructor(root) {
    this.root = root;
    this.begin = Object.fromEntries((root.dataset.begin ?? "").split(" ").map((pair) => pair.split("=")));
    this.all = [];
    this.row = element("div", {class: "live-panels"});
    this.line = element("p", {class: "live-readout"});
    this.spoken = element("p", {class: "live-spoken", "aria-live": "polite"});
    this.desk = element("div", {class: "live-controls"});
    this.data = element("div", {class: "live-controls"});
    this.waiting = 0;
    this.drawing = () => {};
    root.append(this.desk, this.row, this.line, this.spoken, this.data);
    new ResizeObserver(() => this.redraw()).observe(this.row);
  }

  /** Add a chart; the options are those of {@link Chart}. */
  chart(options) {
    const chart = new Chart(options);
    this.all.push(chart);
    this.row.append(chart.node);
    return chart;
  }

  /** Add a slider; see {@link Slider}. What is read is `.value`. */
  slider(options) {
    return this.put(new Slider(this.heard(options)));
  }

  /** Add radio buttons; see {@link Choice}. */
  choice(options) {
    return this.put(new Choice(this.heard(options)));
  }

  /** Add a switch; see {@link Toggle}. */
  toggle(options) {
    return this.put(new Toggle(this.heard(options)));
  }

  /** Add a list to choose from; see {@link Select}. */
  select(options) {
    return this.put(new Select(this.heard(options)));
  }

  /** Add a line of numbers to type or paste; see {@link Numbers}. */
  numbers({label, entered}) {
    return this.put(new Numbers({label, entered: (values) => { entered(values); this.redraw(); }}), this.data);
  }

  /** Add folded text to copy; see {@link Copy}. */
  copy(options) {
    return this.put(new Copy(options), this.data);
  }

  /** Add a button; `pressed` is called, and then all is drawn anew. */
  button({label, pressed}) {
    return this.put(new Button({label, pressed: () => { pressed(); this.redraw(); }}));
  }

  /** Add buttons that play and go one step; see {@link Player}. */
  player({label, step, perSecond}) {
    const once = () => { const more = step(); this.redraw(); return more; };
    return this.put(new Player({label, perSecond, step: once}));
  }

  /** Put points on a chart that can be dragged, and their editor below; see {@link Points}. */
  points(options) {
    return this.put(new Points(this.heard(options)), this.data);
  }

  /** Give the function that draws everything; it is called soon, and after every change. */
  draw(drawing) {
    this.drawing = drawing;
    this.redraw();
  }

  /** Ask for a new drawing, in the next frame. */
  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      for (const chart of this.all) chart.fit();
      if (this.all.some((chart) => !chart.width)) return; // not seen yet
      this.drawing();
      this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
    });
  }

  /** Fit a chart whose axes have just changed, within a drawing. */
  show(chart, change) {
    chart.show(change);
    chart.fit();
  }

  /** Say the numbers: at once for those who see, when the changes pause for those who listen. */
  say(parts) {
    this.line.replaceChildren(...parts);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => {
      if (this.spoken.textContent !== this.line.textContent) this.spoken.textContent = this.line.textContent;
    }, QUIET);
  }

  /** Write a number that has a name, with all its digits in the attribute `value`. */
  number(name, value, digits = 4) {
    return element("data", {value, "data-name": name}, written(value, digits));
  }

  heard(options) {
    const changed = options.changed ?? (() => {});
    return {...options, changed: () => { changed(); this.redraw(); }};
  }

  put(control, desk = this.desk) {
    desk.append(control.node);
    return control;
  }
}

/** The call of the library that gives the fit of a problem for `solver.mjs`, as lines of Python. */
export function asPython({x, targets, beta, activation = "relu", skip = false}) {
  const name = targets ? "denoising_score_matching" : "score_matching";
  const lists = [`x = [${Array.from(x).join(", ")}]`, ...(targets ? [`targets = [${Array.from(targets).join(", ")}]`] : [])];
  const network = `activation="${activation}", skip=${skip ? "True" : "False"}`;
  return [`from convexdiff_lib import ${name}`, "", ...lists,
    `fit = ${name}(x, ${targets ? "targets, " : ""}beta=${beta}, ${network})`, "print(fit.value, fit.knots, fit.certificate)"].join("\n");
}

/** Say how far two bounds on a loss are apart: by a power of ten that is not less. */
export function apart(gap) {
  return written(10 ** Math.ceil(Math.log10(Math.max(Math.abs(gap), 1e-16))), 1);
}

/** Say whether an optimum is certified, and how far the two bounds on its loss are apart; or why it is not. */
export function verdict({holds, gap, reason}) {
  if (holds) return [`certified in this page: the gap to the lower bound of the dual is at most ${apart(gap)}`];
  return ["not certified: ", element("span", {class: "live-warns"}, rounded(reason))];
}

/** A sentence in which numbers have at most so many digits. */
export function rounded(sentence, digits = 3) {
  return sentence.replace(/-?\d+\.\d+(e[-+]?\d+)?/g, (number) => written(Number(number), digits));
}

/** So many numbers from `low` to `high`, with equal distances. */
export function grid(low, high, count) {
  return Array.from({length: count}, (_, k) => low + ((high - low) * k) / (count - 1));
}

/**
 * An axis from −a to a or from 0 to a that holds a number and does not jump: it grows when it must, and shrinks
 * only when less than a third of it is used.
 * @returns {number} the new end a
 */
export function steady(end, needed) {
  if (needed <= end && needed >= end / 3) return end;
  const power = 10 ** Math.floor(Math.log10(Math.max(needed, 1e-9) * 1.2));
  return [1, 1.5, 2, 3, 5, 7, 10].map((part) => part * power).find((round) => round >= needed * 1.1) ?? 20 * power;
}

/** A pleasant interval around numbers, with a part of its length as margin on both sides. */
export function around(values, margin = 0.1, least = 1) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const spare = Math.max(margin * (high - low), (least - (high - low)) / 2);
  const step = 10 ** Math.floor(Math.log10(high - low + 2 * spare)) / 2;
  return [Math.floor((low - spare) / step) * step, Math.ceil((high + spare) / step) * step];
}

/** Shares of numbers between edges at equal distances, over the distance: a density. */
export function histogram(samples, edges) {
  const [low, wide] = [edges[0], edges[1] - edges[0]];
  const counts = new Float64Array(edges.length - 1);
  for (const t of samples) {
    const k = Math.floor((t - low) / wide);
    if (k >= 0 && k < counts.length) counts[k] += 1;
  }
  return counts.map((count) => count / (samples.length * wide));
}
