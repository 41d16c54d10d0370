/** Chambers: points in the plane, the lines that they are for the weights, and the patterns between the lines. */

import {arrangement, degrees} from "./plane.mjs";
import {DATA, ENDS, WORDS, listed, named, planePoints} from "./plane_parts.mjs";
import {element} from "./stage.mjs";

const REACH = 1.5; // of the picture of the weights
const FAR = 9; // beyond any corner

export default function chambers(stage) {
  const {begin} = stage;
  const turn = stage.slider({
    label: "direction of the weights u", min: 0, max: 360, value: Number(begin.turn ?? 20), text: (value) => `${Math.round(value)}°`,
  });
  const start = stage.select({
    label: "begin with", options: WORDS, value: begin.data ?? "general", changed: () => { points.values = DATA[start.value]; },
  });
  const data = stage.chart({title: "data: a halo where u is on", x: ENDS, y: ENDS, xlabel: "x₁", ylabel: "x₂", equal: true});
  const weights = stage.chart({
    title: "weights: a line for each point", x: [-REACH, REACH], y: [-REACH, REACH], xlabel: "u₁", ylabel: "u₂", equal: true,
  });
  const table = element("table", {class: "live-patterns", "aria-labelledby": "live-patterns-say"});
  const words = element("p", {class: "live-key", id: "live-patterns-say"}, "Patterns: a row for each point, a column for each chamber, counterclockwise.");
  stage.row.append(element("div", {class: "live-panel live-wide"}, words, table));
  const {points, list} = planePoints(stage, data, start.value);
  const python = stage.copy({label: "The same in Python"});
  weights.onDrag((x, y) => {
    turn.value = degrees([x, y]);
    stage.redraw();
  });

  stage.draw(() => {
    const X = points.values;
    const all = arrangement(X);
    const here = chamberAt(all, turn.value);
    list.write(X.flat());
    python.write(() => asPython(X));
    drawData(data, X, direction(turn.value), all.chambers[here].pattern);
    drawWeights(weights, all, here, direction(turn.value));
    fill(table, all.chambers, here);
    points.draw();
    stage.say(told(stage, X.length, all, here));
  });
}

function direction(angle) {
  const t = (angle * Math.PI) / 180;
  return [Math.cos(t), Math.sin(t)];
}

/** The number of the chamber that begins last before an angle. */
function chamberAt({rays, chambers}, angle) {
  const begun = rays.filter(({u}) => degrees(u) <= angle).length;
  return (begun - 1 + chambers.length) % chambers.length;
}

function drawData(chart, X, [a, b], pattern) {
  const corners = [[-b, a], [a - b, a + b], [a + b, b - a], [b, -a]].map((row) => row.map((value) => FAR * value));
  chart.region("half", corners.map((row) => row[0]), corners.map((row) => row[1]), {role: "learned", label: "x · u > 0"});
  const on = X.filter((_, k) => pattern[k]);
  chart.dots("halo", on.map((x) => x[0]), on.map((x) => x[1]), {role: "learned", size: 20, label: "on"});
  chart.dots("origin", [0], [0], {role: "plain", size: 4});
  number(chart, X, ([x, y]) => [x + 0.2, y + 0.2]);
}

/** Write 1, 2, … next to places. */
function number(chart, places, where) {
  places.forEach((place, k) => chart.text(`number ${k + 1}`, ...where(place), String(k + 1)));
  for (let k = places.length; chart.layers.has(`number ${k + 1}`); k++) chart.clear(`number ${k + 1}`);
}

function drawWeights(chart, {rays, chambers}, here, u) {
  const {from, to, inside} = chambers[here];
  const sector = from ? [[0, 0], ...arcOf(from.u, inside, to.u)] : arcOf([1, 0], [-1, 0], [1, 0]);
  chart.region("chamber", sector.map((v) => v[0]), sector.map((v) => v[1]), {role: "printed", label: "the chamber of u"});
  const ends = rays.flatMap((ray) => [[0, 0], ray.u.map((v) => FAR * v), [NaN, NaN]]);
  chart.line("walls", ends.map((v) => v[0]), ends.map((v) => v[1]), {role: "plain", label: "x · u = 0 for a point x"});
  chart.arrows("u", [0], [0], [u[0]], [u[1]], {label: "u: drag it"});
  number(chart, chambers.map((chamber) => chamber.inside), (v) => v.map((value) => 1.25 * value));
}

/** Places on the circle from one direction by another to a third. */
function arcOf(from, by, to) {
  const [begin, middle] = [degrees(from), (degrees(by) - degrees(from) + 360) % 360];
  const whole = middle + ((degrees(to) - degrees(by) + 360) % 360);
  return Array.from({length: 33}, (_, k) => direction(begin + (whole * k) / 32));
}

/** Write the patterns: a row for each point, a column for each chamber. */
function fill(table, chambers, here) {
  const cell = (on, i) => element("td", {class: on ? "live-on-cell" : "live-off-cell", "data-here": i === here}, String(Number(on)));
  const head = chambers.map((_, i) => element("th", {scope: "col", "data-here": i === here}, String(i + 1)));
  const rows = chambers[0].pattern.map((_, k) =>
    element("tr", {}, element("th", {scope: "row"}, String(k + 1)), ...chambers.map(({pattern}, i) => cell(pattern[k], i))));
  table.replaceChildren(
    element("thead", {}, element("tr", {}, element("td", {}), ...head)),
    element("tbody", {}, ...rows),
  );
}

function told(stage, n, {chambers, lines, formula, zeros, merged}, here) {
  const count = chambers.length;
  const parts = [stage.number("points", n), n === 1 ? " point makes " : " points make ", stage.number("lines", lines), lines === 1 ? " line and " : " lines and ",
    stage.number("chambers", count), count === 1 ? " chamber" : " chambers", "; the formula for general position gives ", stage.number("formula", formula), ". "];
  for (const rows of merged) parts.push(`Points ${named(rows.map((k) => k + 1))} lie on one line through 0 and share a line here. `);
  if (zeros.length) parts.push(`At 0 there is no line: point ${named(zeros.map((k) => k + 1))} is on for every u. `);
  const on = chambers[here].pattern.flatMap((value, k) => (value ? [k + 1] : []));
  return [...parts, "u is in chamber ", stage.number("here", here + 1), `; the points that are on: ${named(on)}.`];
}

function asPython(X) {
  return ["from convexdiff_lib import enumerate_arrangements", "", `X = ${listed(X)}`,
    "patterns, generators = enumerate_arrangements(X)", "print(len(patterns))"].join("\n");
}
