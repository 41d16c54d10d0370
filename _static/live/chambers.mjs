/** Chambers: points in the plane, the lines that they are for the weights, and the patterns between the lines. */

import {arrangement, degrees} from "./plane.mjs";
import {DATA, ENDS, WORDS, columns, listed, named, planePoints, toEdge} from "./plane_parts.mjs";
import {element} from "./stage.mjs";

const REACH = 1.5; // of the picture of the weights
const COLUMNS = 12; // of a table

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
  const tables = element("div", {class: "live-tables"});
  const words = element("p", {class: "live-key"}, "Patterns: a row for each point, a column for each chamber, counterclockwise.");
  stage.row.append(element("div", {class: "live-panel live-wide"}, words, tables));
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
    tables.replaceChildren(...patternTables(all.chambers, here));
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
  chart.region("half", ...columns(halfSquare([a, b])), {role: "learned", label: "x · u > 0"});
  chart.dots("halo", ...columns(X.filter((_, k) => pattern[k])), {role: "learned", size: 20, label: "on"});
  chart.dots("origin", [0], [0], {role: "plain", size: 4});
  number(chart, X, ([x, y]) => [x + 0.2, y + 0.2]);
}

/** The corners of that half of the picture that a direction points into. */
function halfSquare([a, b]) {
  const end = ENDS[1];
  const cut = toEdge([-b, a], end);
  const inside = [[end, end], [-end, end], [-end, -end], [end, -end]].filter(([x, y]) => a * x + b * y > 0);
  const turned = ([x, y]) => Math.atan2(a * y - b * x, a * x + b * y); // from u, counterclockwise
  return [cut.map((value) => -value), ...inside.sort((v, w) => turned(v) - turned(w)), cut];
}

/** Write 1, 2, … next to places. */
function number(chart, places, where) {
  places.forEach((place, k) => chart.text(`number ${k + 1}`, ...where(place), String(k + 1)));
  for (let k = places.length; chart.layers.has(`number ${k + 1}`); k++) chart.clear(`number ${k + 1}`);
}

function drawWeights(chart, {rays, chambers}, here, u) {
  const {from, to, inside} = chambers[here];
  const sector = from ? [[0, 0], ...arcOf(from.u, inside, to.u)] : arcOf([1, 0], [-1, 0], [1, 0]);
  chart.region("chamber", ...columns(sector), {role: "printed", label: "the chamber of u"});
  const ends = rays.flatMap((ray) => [[0, 0], toEdge(ray.u, REACH), [NaN, NaN]]);
  chart.line("walls", ...columns(ends), {role: "plain", label: "x · u = 0 for a point x"});
  chart.arrows("u", [0], [0], [u[0]], [u[1]], {label: "u: drag it"});
  number(chart, chambers.map((chamber) => chamber.inside), (v) => v.map((value) => 1.25 * value));
}

/** Places on the circle from one direction by another to a third. */
function arcOf(from, by, to) {
  const [begin, middle] = [degrees(from), (degrees(by) - degrees(from) + 360) % 360];
  const whole = middle + ((degrees(to) - degrees(by) + 360) % 360);
  return Array.from({length: 33}, (_, k) => direction(begin + (whole * k) / 32));
}

/** The patterns: a row for each point, a column for each chamber, in tables that fit the screen of a telephone. */
function patternTables(chambers, here) {
  const numbered = chambers.map(({pattern}, i) => ({pattern, i}));
  const blocks = Array.from({length: Math.ceil(chambers.length / COLUMNS)}, (_, k) => numbered.slice(k * COLUMNS, (k + 1) * COLUMNS));
  return blocks.map((block) => {
    const head = block.map(({i}) => element("th", {scope: "col", "data-here": i === here}, String(i + 1)));
    const cell = (on, i) => element("td", {class: on ? "live-on-cell" : "live-off-cell", "data-here": i === here}, String(Number(on)));
    const rows = chambers[0].pattern.map((_, k) =>
      element("tr", {}, element("th", {scope: "row"}, String(k + 1)), ...block.map(({pattern, i}) => cell(pattern[k], i))));
    return element("table", {class: "live-patterns", "aria-label": `patterns from chamber ${block[0].i + 1} on`},
      element("thead", {}, element("tr", {}, element("td", {}), ...head)), element("tbody", {}, ...rows));
  });
}

function told(stage, n, {chambers, lines, formula, zeros, merged}, here) {
  const count = chambers.length;
  const many = (name, value, one, more) => [stage.number(name, value), value === 1 ? one : more];
  const parts = [...many("points", n, " point makes ", " points make "), ...many("lines", lines, " line and ", " lines and "),
    ...many("chambers", count, " chamber", " chambers"), "; the formula for general position gives ",
    stage.number("formula", formula), ". "];
  const groups = merged.map((rows) => named(rows.map((k) => k + 1)));
  if (groups.length) parts.push(`Points on one line through 0 share a line here: ${groups.join("; ")}. `);
  if (zeros.length) parts.push(`At 0 there is no line: point ${named(zeros.map((k) => k + 1))} is on for every u. `);
  const on = chambers[here].pattern.flatMap((value, k) => (value ? [k + 1] : []));
  return [...parts, "u is in chamber ", stage.number("here", here + 1), `; the points that are on: ${named(on)}.`];
}

function asPython(X) {
  return ["from convexdiff_lib import enumerate_arrangements", "", `X = ${listed(X)}`,
    "patterns, generators = enumerate_arrangements(X)", "print(len(patterns))"].join("\n");
}
