/** A chart in SVG: axes, and layers that are drawn anew as often as their data change. */

const SVG = "http://www.w3.org/2000/svg";
const FAR = 1e5; // pixels; farther out nothing is seen
const HEAD = 26;
const EDGE = 12;
const PHONE = 480; // pixels of a window that is so narrow that charts lie below each other
const LOW = 0.65; // they are lower there, so that a slider is seen together with what it moves

/**
 * Make an element of the page.
 * @param {string} tag - with `svg:` in front for an element of a drawing
 * @param {Object<string, *>} [attributes] - names that begin with `on` are listeners
 * @param {...(Node|string)} children
 * @returns {Element}
 */
export function element(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Write a number with so many significant digits, as the figures do. */
export function written(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "undefined" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size >= 1e6 || size < 1e-4)
      ? value.toExponential(Math.max(digits - 2, 0)).replace(/\.?0*e\+?/, "e")
      : String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−");
}

/** Multiples of 1, 2 or 5 times a power of ten in an interval, at most so many. */
export function ticks([low, high], most, log = false) {
  if (log) return logTicks(low, high, most);
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => (high - low) / s <= most);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++) {
    found.push(Number((k * step).toPrecision(12)) + 0); // no minus zero
  }
  return found;
}

function logTicks(low, high, most) {
  for (const parts of [[1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
      for (const part of parts) {
        const value = Number(`${part}e${power}`);
        if (value >= low * 0.999999 && value <= high * 1.000001) found.push(value);
      }
    }
    if (found.length <= most || parts.length === 1) return found;
  }
}

/**
 * Axes with a title, and what is drawn on them. Every method that draws takes the name of a layer: a first call
 * makes it, a later one with the same name draws it anew. Layers lie on each other in the order in which they
 * were made. In arrays of places a NaN ends a line or a polygon, and the next number begins another.
 *
 * Roles are those of the figures (`learned`, `exact`, `printed`, `trained`, `bound`), and `plain`; the style
 * sheet gives them colours.
 */
export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {[number, number]} options.x - what the axis shows, from where to where
   * @param {[number, number]} options.y
   * @param {string} [options.xlabel]
   * @param {string} [options.ylabel]
   * @param {string} [options.alt] - what there is to see, for those who do not see it; the title unless given
   * @param {boolean} [options.equal] - whether a unit is as long on both axes
   * @param {boolean} [options.logx] - whether the horizontal axis is logarithmic
   * @param {number} [options.shape] - height over width of the plot, unless `equal`
   * @param {boolean} [options.wide] - whether the chart takes the whole row
   */
  constructor({title, x, y, xlabel = "", ylabel = "", alt = title, equal = false, logx = false, shape = 0.62, wide = false}) {
    Object.assign(this, {title, x, y, xlabel, ylabel, equal, logx, shape});
    this.layers = new Map();
    this.axes = element("svg:g");
    const floor = element("svg:rect", {width: "100%", height: "100%", fill: "transparent"}); // for the pointer
    this.plot = element("svg:svg", {class: "live-plot"}, floor);
    this.picture = element("svg:g", {role: "img", "aria-label": alt}, this.axes, this.plot);
    this.handles = element("svg:g");
    this.svg = element("svg:svg", {class: "live-chart"}, this.picture, this.handles);
    this.key = element("p", {class: "live-key"});
    this.node = element("div", {class: wide ? "live-panel live-wide" : "live-panel"}, this.svg, this.key);
    this.width = 0;
  }

  /** Say what there is to see now, for those who do not see it. */
  describe(alt) {
    this.picture.setAttribute("aria-label", alt);
  }

  /** Show another part of the plane; `x`, `y` and `title` may be given. */
  show(change) {
    const keys = Object.keys(change).filter((name) => String(this[name]) !== String(change[name]));
    Object.assign(this, change);
    if (keys.length) this.width = 0; // so that the axes are drawn anew
  }

  /** Fit the drawing to the width that it has on the page, if that has changed. */
  fit() {
    const width = Math.round(this.node.clientWidth);
    if (!width || width === this.width) return;
    this.width = width;
    this.left = this.ylabel ? 58 : 42;
    this.foot = this.xlabel ? 44 : 26;
    this.across = width - this.left - EDGE;
    this.tall = Math.round(this.across * this.rise());
    const height = HEAD + this.tall + this.foot;
    set(this.svg, {viewBox: `0 0 ${width} ${height}`, width, height});
    set(this.plot, {x: this.left, y: HEAD, width: this.across, height: this.tall});
    this.plot.style.cssText = `width: ${this.across}px; height: ${this.tall}px`; // whatever a page says
    this.drawAxes();
  }

  /** Height over width of the plot. */
  rise() {
    if (this.equal) return (this.y[1] - this.y[0]) / (this.x[1] - this.x[0]);
    return Math.max(this.shape, Math.min(150 / this.across, 0.62)) * (innerWidth < PHONE ? LOW : 1);
  }

  /** Where a value lies across the plot, in pixels from its left edge. */
  column(x) {
    const part = this.logx
      ? Math.log(x / this.x[0]) / Math.log(this.x[1] / this.x[0])
      : (x - this.x[0]) / (this.x[1] - this.x[0]);
    return bounded(part * this.across);
  }

  /** Where a value lies, in pixels from the upper edge of the plot. */
  row(y) {
    return bounded(((this.y[1] - y) / (this.y[1] - this.y[0])) * this.tall);
  }

  /** Where on the whole drawing a place is, in pixels. */
  place(x, y) {
    return [this.left + this.column(x), HEAD + this.row(y)];
  }

  /** What a pointer points at, as [x, y]; it may lie beyond the axes. */
  under(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.width / box.width;
    const u = ((event.clientX - box.left) * scale - this.left) / this.across;
    const v = ((event.clientY - box.top) * scale - HEAD) / this.tall;
    const x = this.logx ? this.x[0] * (this.x[1] / this.x[0]) ** u : this.x[0] + u * (this.x[1] - this.x[0]);
    return [x, this.y[1] - v * (this.y[1] - this.y[0])];
  }

  /** Call `follow(x, y)` while a pointer that was pressed on the plot moves. Give keys another way to the same. */
  onDrag(follow) {
    this.plot.classList.add("live-grab");
    this.plot.addEventListener("pointerdown", (event) => {
      this.plot.setPointerCapture(event.pointerId);
      follow(...this.under(event));
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (event.buttons) follow(...this.under(event));
    });
  }

  /** Draw a line from place to place. */
  line(name, x, y, {role = "learned", label = ""} = {}) {
    this.path(name, this.trace(x, y), "live-line", role, label);
  }

  /** Fill what lies between two heights, pale. */
  band(name, x, low, high, {role = "plain", label = ""} = {}) {
    const d = this.trace([...x, ...[...x].reverse()], [...high, ...[...low].reverse()]);
    this.path(name, d && `${d}z`, "live-region", role, label);
  }

  /** Fill a polygon, or several. */
  region(name, x, y, {role = "plain", label = ""} = {}) {
    const d = this.trace(x, y);
    this.path(name, d && `${d.replace(/(?!^)M/g, "zM")}z`, "live-region", role, label);
  }

  /** Put a dot on every place; `size` is its diameter in pixels. */
  dots(name, x, y, {role = "learned", label = "", size = 7} = {}) {
    const d = this.each(x, y, (u, v) => `M${u} ${v}h0`);
    this.path(name, d, "live-dots", role, label).style.strokeWidth = size;
  }

  /** Put a ring around every place. */
  rings(name, x, y, {role = "plain", label = ""} = {}) {
    const d = this.each(x, y, (u, v) => `M${tenth(u - 6)} ${v}a6 6 0 1 0 12 0a6 6 0 1 0-12 0`);
    this.path(name, d, "live-rings", role, label);
  }

  /** Draw an arrow from (x, y) to (toX, toY) for each of them. */
  arrows(name, x, y, toX, toY, {role = "printed", label = ""} = {}) {
    const ends = this.pixels(toX, toY);
    const d = this.pixels(x, y).map(([u, v], k) => arrow(u, v, ...ends[k])).join("");
    this.path(name, d, "live-line live-solid", role, label);
  }

  /** Mark places on the horizontal axis by short strokes. */
  rug(name, x, {role = "plain", label = ""} = {}) {
    const d = Array.from(x, (t) => `M${tenth(this.column(t))} ${this.tall}v-9`).join("");
    this.path(name, d, "live-rug", role, label);
  }

  /** Draw a histogram; there is one edge more than there are heights. */
  bars(name, edges, heights, {role = "learned", label = ""} = {}) {
    const x = [];
    const y = [];
    Array.from(heights).forEach((height, k) => {
      x.push(edges[k], edges[k], edges[k + 1], edges[k + 1], NaN);
      y.push(0, height, height, 0, NaN);
    });
    this.region(name, x, y, {role, label});
  }

  /** Draw lines across the whole plot: upright ones at each `x`, level ones at each `y`. */
  rules(name, {x = [], y = [], role = "plain", label = ""}) {
    const upright = Array.from(x, (t) => `M${tenth(this.column(t))} 0v${this.tall}`);
    const level = Array.from(y, (t) => `M0 ${tenth(this.row(t))}h${this.across}`);
    this.path(name, [...upright, ...level].join(""), "live-line", role, label);
  }

  /** Write something at a place. */
  text(name, x, y, words) {
    const layer = this.layer(name, "svg:text", {class: "live-words", "text-anchor": "middle"});
    set(layer, {x: tenth(this.column(x)), y: tenth(this.row(y)) + 4});
    layer.textContent = words;
  }

  /** Take a layer away until it is drawn again. */
  clear(name) {
    const layer = this.layers.get(name);
    if (layer?.tagName === "text") layer.textContent = "";
    else layer?.setAttribute("d", "");
  }

  path(name, d, kind, role, label) {
    const layer = this.layer(name, "svg:path", {class: `${kind} live-${role}`}, label);
    layer.setAttribute("d", d);
    return layer;
  }

  /** Say in the key what has a look. */
  explain(look, label) {
    this.key.append(sample(look, label));
  }

  layer(name, tag, attributes, label = "") {
    if (!this.layers.has(name)) {
      const made = element(tag, attributes);
      this.layers.set(name, made);
      this.plot.append(made);
      if (label) this.explain(attributes.class, label);
    }
    return this.layers.get(name);
  }

  trace(x, y) {
    let begun = false;
    return this.each(x, y, (u, v) => {
      const pen = begun ? "L" : "M";
      begun = true;
      return `${pen}${u} ${v}`;
    }, () => (begun = false));
  }

  each(x, y, draw, gap = () => {}) {
    const parts = this.pixels(x, y).map(([u, v]) => (Number.isNaN(u + v) ? gap() || "" : draw(u, v)));
    return parts.join("");
  }

  pixels(x, y) {
    return Array.from(x, (t, k) => [tenth(this.column(t)), tenth(this.row(y[k]))]);
  }

  drawAxes() {
    const across = ticks(this.x, Math.max(3, Math.floor(this.across / 55)), this.logx);
    const up = ticks(this.y, Math.max(3, Math.floor(this.tall / 36)));
    const columns = across.map((t) => this.left + tenth(this.column(t)));
    const rows = up.map((t) => HEAD + tenth(this.row(t)));
    const low = HEAD + this.tall;
    const word = (u, v, words, anchor = "middle", more = {}) =>
      element("svg:text", {x: u, y: v, "text-anchor": anchor, ...more}, words);
    const marks = columns.map((u) => `M${u} ${low}v4`).concat(rows.map((v) => `M${this.left} ${v}h-4`));
    const middle = HEAD + this.tall / 2;
    this.axes.replaceChildren(
      element("svg:path", {class: "live-grid", d: rows.map((v) => `M${this.left} ${v}h${this.across}`).join("")}),
      element("svg:path", {class: "live-axis", d: `M${this.left} ${HEAD}V${low}h${this.across}${marks.join("")}`}),
      word(this.left + this.across / 2, 16, this.title, "middle", {class: "live-title"}),
      ...columns.map((u, k) => word(u, low + 17, written(across[k]))),
      ...rows.map((v, k) => word(this.left - 7, v + 4, written(up[k]), "end")),
    );
    if (this.xlabel) this.axes.append(word(this.left + this.across / 2, low + 36, this.xlabel));
    if (this.ylabel) this.axes.append(word(0, 0, this.ylabel, "middle", {transform: `translate(14 ${middle}) rotate(-90)`}));
  }
}

function sample(look, label) {
  const d = look.includes("region") ? "M0 1h28v10h-28z" : look.includes("dots") ? "M14 6h0"
    : look.includes("rings") ? "M8 6a6 6 0 1 0 12 0a6 6 0 1 0-12 0" : look.includes("rug") ? "M14 1v10"
    : "M0 6h28";
  const shape = look === "live-handle" ? element("svg:circle", {class: look, cx: 14, cy: 6, r: 6})
    : element("svg:path", {class: look, d});
  const drawn = element("svg:svg", {viewBox: "0 0 28 12", "aria-hidden": "true"}, shape);
  return element("span", {}, drawn, ` ${label}`);
}

function arrow(u, v, toU, toV) {
  const length = Math.hypot(toU - u, toV - v);
  if (!(length > 0)) return "";
  const head = Math.min(6, length);
  const [a, b] = [((toU - u) / length) * head, ((toV - v) / length) * head];
  const wing = (side) => `${tenth(toU - a + side * 0.5 * b)} ${tenth(toV - b - side * 0.5 * a)}`;
  return `M${u} ${v}L${toU} ${toV}M${wing(1)}L${toU} ${toV}L${wing(-1)}`;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function bounded(pixels) {
  return Math.max(-FAR, Math.min(FAR, pixels));
}

function tenth(pixels) {
  return Math.round(10 * pixels) / 10;
}
