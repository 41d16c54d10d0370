/** What the instruments in the plane share: their points, lists to paste, lines of Python. */

import {degrees} from "./plane.mjs";
import {Points} from "./points.mjs";

export const STEP = 1 / 16; // sums and products of such numbers are exact, so that points get onto one line exactly
export const MOST = 12;
export const ENDS = [-2.5, 2.5];

/** Sets of points to begin with. */
export const DATA = {
  general: [[1.5, 0.4], [0.4, 1.5], [-1.3, 1.1], [-1, -1.2], [0.7, -1.3]],
  lattice: [[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]],
  opposite: [[1.5, 0.5], [-1.5, -0.5], [0.5, 1.25], [-0.5, -1.25], [-1, 0.75], [1, -0.75]],
  through: [[-2, -1], [-1, -0.5], [1, 0.5], [1.5, 0.75]],
  beside: [[-1.5, 1], [-0.75, 1], [0, 1], [0.75, 1], [1.5, 1]],
};
export const WORDS = {
  general: "general position", lattice: "a lattice", opposite: "opposite pairs", through: "a line through 0", beside: "a line beside 0",
};

/** Read a list of coordinates, two for each point. */
export function pairs(values) {
  if (values.length % 2) throw new Error(`Two numbers for each point, please; these are ${values.length}.`);
  const found = Array.from({length: values.length / 2}, (_, k) => [values[2 * k], values[2 * k + 1]]);
  if (found.length < 1 || found.length > MOST) throw new Error(`One to ${MOST} points, please; these are ${found.length}.`);
  const far = found.find((point) => point.some((value) => value < ENDS[0] || value > ENDS[1]));
  if (far) throw new Error(`Coordinates from ${ENDS[0]} to ${ENDS[1]}, please; ${far.join(", ")} lies outside.`.replace(/-/g, "−"));
  return found;
}

/** Write pairs as a list of Python. */
export function listed(rows) {
  return `[${rows.map((row) => `[${row.join(", ")}]`).join(", ")}]`;
}

/** Points that keep their numbers when they move; a new one goes between two directions that are far apart. */
class PlanePoints extends Points {
  ranked() {
    return this.current.map((_, k) => k);
  }

  freePlace() {
    const angles = this.current.filter(([x, y]) => x || y).map(degrees).sort((a, b) => a - b);
    const [first = 0] = angles;
    const gaps = angles.map((angle, k) => (angles[k + 1] ?? first + 360) - angle);
    const k = gaps.indexOf(Math.max(...gaps));
    const middle = (((angles[k] ?? 0) + (gaps[k] ?? 0) / 2) * Math.PI) / 180;
    return [1.5 * Math.cos(middle), 1.5 * Math.sin(middle)];
  }
}

/** Put points of the plane on a chart, with a list to paste below; `.values` of `points` are pairs. */
export function planePoints(stage, chart, begin) {
  const options = {chart, values: DATA[begin], step: STEP, height: null, least: 1, most: MOST};
  const points = stage.put(new PlanePoints(stage.heard(options)), stage.data);
  const list = stage.numbers({label: "all points, x₁ and x₂ in turn", entered: (values) => { points.values = pairs(values); }});
  return {points, list};
}

/** Make a vector as long as the square around 0 allows. */
export function toEdge([a, b], end) {
  const share = end / Math.max(Math.abs(a), Math.abs(b));
  return [a * share, b * share];
}

/** Split places into their coordinates, as charts take them. */
export function columns(places) {
  return [0, 1].map((c) => places.map((place) => place[c]));
}

/** A list of things in words: "1, 2 and 5". */
export function named(items) {
  return items.length < 2 ? String(items[0] ?? "none") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}
