/** Points on a chart that can be moved, added and removed: by mouse, by touch, by keys alone. */

import {element, written} from "./chart.mjs";

const KEYS = "Drag a point; click beside the points to add one. By keys: the arrows move the chosen point (with Shift ten times "
  + "as far), Page Up and Page Down choose its neighbours, Delete removes it, Insert adds one.";

/**
 * Points on one axis (`height` given) or in the plane (without). `values` holds numbers, or pairs of them.
 *
 * @param {object} options
 * @param {Chart} options.chart
 * @param {Array} options.values
 * @param {number} [options.step] - the grid on which a drag puts points
 * @param {"low"|null} [options.height] - "low" for points on the horizontal axis, null for points in the plane
 * @param {number} [options.least] - so many remain
 * @param {number} [options.most] - no more can be added
 * @param {string} [options.label]
 * @param {function(): void} [options.typed] - called when a reader has typed a place, which may lie beyond the axes;
 *   without it such a place is moved to their end
 * @param {function(): void} options.changed
 */
export class Points {
  constructor({chart, values, step = 0.01, height = "low", least = 2, most = 60, label = "point", typed = null, changed}) {
    Object.assign(this, {chart, step, height, least, most, label, typed, changed});
    this.current = values.slice();
    this.chosen = 0;
    this.flat = height === "low";
    this.marks = [];
    chart.explain("live-handle", `${label}s`);
    this.buildEditor();
    this.listen();
  }

  /** The numbers, or pairs, in the order in which they were given. */
  get values() {
    return this.current.slice();
  }

  set values(values) {
    this.current = values.slice();
    this.chosen = Math.min(this.chosen, values.length - 1);
  }

  /** Draw the points where they are now. */
  draw() {
    const count = this.current.length;
    while (this.marks.length < count) this.marks.push(this.newMark(this.marks.length));
    while (this.marks.length > count) this.marks.pop().remove();
    this.marks.forEach((mark, k) => this.drawMark(mark, k));
    this.which.textContent = `${this.label} ${this.ranked().indexOf(this.chosen) + 1} of ${count}`;
    this.inputs.forEach((input, axis) => {
      if (document.activeElement !== input) input.value = this.part(this.chosen, axis);
    });
    this.more.disabled = count >= this.most;
    this.fewer.disabled = count <= this.least;
  }

  newMark(k) {
    const mark = element("svg:g", {class: "live-point", role: "slider", "data-point": k},
      element("svg:circle", {class: "live-reach", r: 15}), element("svg:circle", {class: "live-handle", r: 6}));
    this.chart.handles.append(mark);
    return mark;
  }

  drawMark(mark, k) {
    const [x, y] = [this.part(k, 0), this.flat ? this.chart.y[0] : this.part(k, 1)];
    const [u, ground] = this.chart.place(x, y);
    const below = this.flat ? this.current.slice(0, k).filter((t) => t === x).length : 0;
    const v = ground - 9 * below; // points on one place stand on each other
    const rank = this.ranked().indexOf(k) + 1;
    const attributes = {
      transform: `translate(${u} ${v})`, tabindex: k === this.chosen ? 0 : -1,
      "aria-label": `${this.label} ${rank} of ${this.current.length}`, "aria-valuenow": x,
      "aria-valuemin": this.chart.x[0], "aria-valuemax": this.chart.x[1],
      "aria-valuetext": this.flat ? written(x, 6) : `${written(x, 6)}, ${written(y, 6)}`,
    };
    for (const [name, value] of Object.entries(attributes)) mark.setAttribute(name, value);
    mark.classList.toggle("live-chosen", k === this.chosen);
  }

  buildEditor() {
    const small = (words, name, act) => element("button", {type: "button", "aria-label": name, onclick: act}, words);
    this.which = element("span", {class: "live-which"});
    this.inputs = (this.flat ? ["x"] : ["x₁", "x₂"]).map((name, axis) =>
      element("input", {
        type: "number", step: this.step, "aria-label": `${name} of the chosen ${this.label}`,
        onchange: (event) => this.type(axis, event.target),
      }));
    const fields = this.inputs.map((input, axis) => element("span", {}, this.flat ? "x = " : `x${"₁₂"[axis]} = `, input));
    this.more = element("button", {type: "button", onclick: () => this.add()}, `Add a ${this.label}`);
    this.fewer = element("button", {type: "button", onclick: () => this.remove()}, "Remove it");
    this.node = element("div", {class: "live-editor", role: "group", "aria-label": `the ${this.label}s`},
      small("‹", `previous ${this.label}`, () => this.choose(-1)), this.which,
      small("›", `next ${this.label}`, () => this.choose(1)), ...fields, this.more, this.fewer,
      element("p", {class: "live-help"}, KEYS));
  }

  listen() {
    const {handles, plot, node} = this.chart; // a group that listened to the focus would take it in Chromium
    handles.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      this.pick(this.nearest(event));
      handles.setPointerCapture(event.pointerId);
    });
    handles.addEventListener("pointermove", (event) => {
      if (handles.hasPointerCapture(event.pointerId)) this.move(this.chosen, this.chart.under(event));
    });
    node.addEventListener("focusin", ({target}) => {
      if (target !== this.marks[this.chosen] && this.marks.includes(target)) this.pick(this.marks.indexOf(target));
    });
    node.addEventListener("keydown", (event) => {
      if (this.marks.includes(event.target)) this.onKey(event);
    });
    plot.addEventListener("click", (event) => this.add(this.chart.under(event)));
    plot.classList.add("live-addable");
  }

  onKey(event) {
    const far = this.step * (event.shiftKey ? 10 : 1);
    const ways = {ArrowRight: [far, 0], ArrowLeft: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far]};
    const acts = {
      PageDown: () => this.choose(1, true), PageUp: () => this.choose(-1, true),
      Home: () => this.choose(-Infinity, true), End: () => this.choose(Infinity, true),
      Delete: () => this.remove(true), Backspace: () => this.remove(true), Insert: () => this.add(null, true), "+": () => this.add(null, true),
    };
    const way = ways[event.key];
    if (!way && !acts[event.key]) return;
    event.preventDefault();
    if (!way) acts[event.key]();
    else if (this.flat) this.move(this.chosen, [this.part(this.chosen, 0) + way[0] + way[1], 0]);
    else this.move(this.chosen, [this.part(this.chosen, 0) + way[0], this.part(this.chosen, 1) + way[1]]);
  }

  /** The point that is nearest to a pointer; where many lie close, another may be on top. */
  nearest(event) {
    const far = this.marks.map((mark) => {
      const box = mark.getBoundingClientRect();
      return Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
    });
    return far.indexOf(Math.min(...far));
  }

  /** Choose a point by its number. */
  pick(k, focus = true) {
    this.chosen = k;
    this.draw();
    if (focus) this.marks[k].focus({preventScroll: true});
    this.changed();
  }

  /** Choose the neighbour to the right (1) or to the left (−1). */
  choose(way, focus = false) {
    const ranked = this.ranked();
    const at = Math.max(0, Math.min(ranked.length - 1, ranked.indexOf(this.chosen) + way));
    this.pick(ranked[at], focus);
  }

  /** Move a point to a place, on the grid and inside the axes. */
  move(k, place) {
    const moved = [this.chart.x, this.chart.y].map((ends, axis) => this.onGrid(place[axis], ends));
    this.current[k] = this.flat ? moved[0] : moved;
    this.changed();
  }

  /** Add a point at a place, or in the widest gap. */
  add(place = null, focus = false) {
    if (this.current.length >= this.most) return;
    const at = place ?? this.freePlace();
    const moved = [this.chart.x, this.chart.y].map((ends, axis) => this.onGrid(at[axis], ends));
    this.current.push(this.flat ? moved[0] : moved);
    this.pick(this.current.length - 1, focus);
  }

  /** Remove the chosen point. */
  remove(focus = false) {
    if (this.current.length <= this.least) return;
    const ranked = this.ranked();
    const at = ranked.indexOf(this.chosen);
    const next = ranked[at === ranked.length - 1 ? at - 1 : at + 1];
    this.current.splice(this.chosen, 1);
    this.pick(next > this.chosen ? next - 1 : next, focus);
  }

  type(axis, input) {
    const [low, high] = this.typed ? [-Infinity, Infinity] : [this.chart.x, this.chart.y][axis];
    const value = Math.max(low, Math.min(high, input.valueAsNumber));
    if (Number.isFinite(value)) {
      if (this.flat) this.current[this.chosen] = value;
      else this.current[this.chosen] = this.current[this.chosen].map((old, k) => (k === axis ? value : old));
    } else {
      input.value = this.part(this.chosen, axis);
    }
    this.typed?.();
    this.changed();
  }

  freePlace() {
    const {x, y} = this.chart;
    const sorted = [x[0], ...this.ranked().map((k) => this.part(k, 0)), x[1]];
    let widest = 1;
    for (let k = 1; k < sorted.length; k++) {
      if (sorted[k] - sorted[k - 1] > sorted[widest] - sorted[widest - 1]) widest = k;
    }
    return [(sorted[widest] + sorted[widest - 1]) / 2, (y[0] + y[1]) / 2];
  }

  ranked() {
    const order = this.current.map((_, k) => k);
    return order.sort((a, b) => this.part(a, 0) - this.part(b, 0) || a - b);
  }

  part(k, axis) {
    return this.flat ? this.current[k] : this.current[k][axis];
  }

  onGrid(value, [low, high]) {
    const near = Number((Math.round(value / this.step) * this.step).toPrecision(12));
    return Math.max(low, Math.min(high, near)) + 0;
  }
}
