/** Wedge directions: the neurons worth having for points in the plane, and the dual response that says so. */

import {degrees, wedgeDirections} from "./plane.mjs";
import {output, peaks, responseAt} from "./plane_check.mjs";
import {DATA, ENDS, WORDS, columns, listed, planePoints, toEdge} from "./plane_parts.mjs";
import {train} from "./plane_train.mjs";
import {apart, element, grid, steady, written} from "./stage.mjs";

const TINY = 1e-6; // a neuron below this share of the largest is not drawn
const ROUNDING = 1e-6; // of a response over the bound that is not drawn
const SAME = 0.01; // degrees between neurons that are drawn as one
const NORMS = {one: "1-norm", wedges: "2-norm, wedges only", two: "2-norm, all directions"};
const CENTRES = [[1.25, 0.5], [-1, -1]];

/** Where a noisy point came from: the target is the way back. */
const CLEAN = {
  centres: (x) => CENTRES.reduce((near, c) => (distance(c, x) < distance(near, x) ? c : near)),
  origin: () => [0, 0],
  circle: (x) => (distance(x, [0, 0]) ? x.map((value) => value / distance(x, [0, 0])) : [1, 0]),
};
const AIMS = {centres: "to the nearer of two centres", origin: "to 0", circle: "to a circle"};

const distance = ([a, b], [c, d]) => Math.hypot(a - c, b - d);

export default function wedge(stage) {
  const {begin} = stage;
  const lambda = stage.slider({label: "weight decay λ", min: 0.03, max: 10, value: Number(begin.lambda ?? 0.3), log: true});
  const norm = stage.choice({label: "penalty:", options: NORMS, value: begin.norm ?? "one"});
  const aim = stage.select({label: "targets point", options: AIMS, value: begin.aim ?? "centres"});
  const start = stage.select({
    label: "begin with", options: WORDS, value: begin.data ?? "general", changed: () => { points.values = DATA[start.value]; },
  });
  const data = stage.chart({title: "points, targets and kinks", x: ENDS, y: ENDS, xlabel: "x₁", ylabel: "x₂", equal: true});
  const field = stage.chart({title: "the network: its score", x: ENDS, y: ENDS, xlabel: "x₁", ylabel: "x₂", equal: true});
  const curve = stage.chart({
    title: "response of a neuron, over its direction", x: [0, 360], y: [0, 1.5], xlabel: "direction of the weights (degrees)",
    ylabel: "response / λ", wide: true, shape: 0.3,
  });
  const {points, list} = planePoints(stage, data, start.value);
  const python = stage.copy({label: "The same in Python"});
  let top = 1.5;

  stage.draw(() => {
    const X = points.values;
    const targets = X.map((x) => CLEAN[aim.value](x).map((value, c) => value - x[c]));
    const p = norm.value === "one" ? 1 : 2;
    const fit = train(X, targets, lambda.value, {p, all: norm.value !== "wedges"});
    const neurons = seen(fit.network);
    const wedges = wedgeDirections(X, p);
    list.write(X.flat());
    python.write(() => asPython(X, targets, lambda.value, norm.value));
    top = steady(top, Math.max(1.3, fit.certificate.largest / lambda.value));
    stage.show(curve, {y: [0, top]});
    drawData(data, X, targets, wedges, neurons, fit.network);
    drawField(field, fit.network, X);
    drawCurve(curve, {X, Q: fit.Q, p, lambda: lambda.value}, wedges, neurons);
    points.draw();
    stage.say(told(stage, {neurons, wedges, lambda: lambda.value, ...fit}, norm.value));
  });
}

/** The directions of the neurons that are drawn: some may be next to nothing, and some next to each other. */
function seen(network) {
  const size = ({u, a}) => Math.hypot(...u) * Math.hypot(...a);
  const least = TINY * Math.max(0, ...network.map(size));
  const angles = network.filter((neuron) => size(neuron) > least).map((neuron) => degrees(neuron.direction)).sort((a, b) => a - b);
  return angles.filter((angle, k) => k === 0 || angle - angles[k - 1] > SAME);
}

const at = (angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];

/** The places on which neurons switch, as a trace. */
function kinks(directions) {
  return columns(directions.flatMap(([a, b]) => [toEdge([-b, a], ENDS[1]), toEdge([b, -a], ENDS[1]), [NaN, NaN]]));
}

function drawData(chart, X, targets, wedges, neurons, network) {
  chart.line("candidates", ...kinks(wedges.map(({u}) => u)), {role: "plain", label: "kinks of the wedge directions"});
  faint(chart, "candidates");
  chart.line("kinks", ...kinks(neurons.map(at)), {label: "kinks of the network"});
  const tips = (arrows) => columns(X.map((x, k) => x.map((value, c) => value + arrows[k][c])));
  chart.rings("clean", ...tips(targets), {role: "plain", label: "where a point came from"});
  chart.arrows("targets", ...columns(X), ...tips(targets), {role: "printed", label: "targets"});
  const scores = X.map((x) => output(network, x));
  chart.arrows("scores", ...columns(X), ...tips(scores), {role: "bound", label: "score of the network"});
}

function faint(chart, name) {
  chart.layers.get(name).style.strokeOpacity = 0.3;
}

function drawField(chart, network, X) {
  const along = grid(-2.03, 2.03, 10);
  const places = along.flatMap((x) => along.map((y) => [x, y]));
  const scores = places.map((place) => output(network, place));
  const most = Math.max(1e-12, ...scores.map((s) => Math.hypot(...s)));
  const tips = places.map((place, k) => place.map((value, c) => value + (0.45 * scores[k][c]) / most));
  chart.arrows("field", ...columns(places), ...columns(tips), {role: "bound", label: "score, scaled"});
  chart.dots("data", ...columns(X), {role: "trained", label: "points"});
}

function drawCurve(chart, {X, Q, p, lambda}, wedges, neurons) {
  const marks = wedges.map(({u}) => degrees(u));
  const tops = peaks(X, Q, p).map(({u}) => degrees(u));
  const angles = [...grid(0, 360, 361), ...marks, ...tops, ...neurons].sort((a, b) => a - b);
  const share = (angle) => responseAt(X, Q, p, at(angle)) / lambda;
  const shares = angles.map(share);
  chart.rules("wedges", {x: marks, label: "wedge directions"});
  faint(chart, "wedges");
  chart.rules("bound", {y: [1], role: "exact", label: "the bound λ"});
  chart.line("response", angles, shares, {label: "response"});
  chart.line("over", angles, shares.map((value) => (value > 1 + ROUNDING ? value : NaN)), {role: "printed", label: "worth adding"});
  chart.layers.get("over").style.strokeWidth = 4;
  chart.dots("used", neurons, neurons.map(share), {role: "printed", label: "neurons of the network"});
}

function told(stage, {certificate, neurons, wedges, lambda}, norm) {
  const {primal, dual, gap, largest, holds} = certificate;
  const network = neurons.length
    ? ["The network has ", stage.number("neurons", neurons.length), neurons.length === 1 ? " neuron" : " neurons", "; there are ",
      stage.number("wedges", wedges.length), " wedge directions. "]
    : ["The best network is ", stage.number("neurons", 0), ": no neuron is worth its weight decay. "];
  const loss = ["Loss ", stage.number("value", primal, 6)];
  if (norm !== "wedges" || holds) {
    const sure = holds ? `, the smallest of all networks: certified over all directions, to a relative gap of ${apart(gap)}.`
      : `, not certified: the relative gap is ${apart(gap)}.`;
    return [...network, ...loss, sure];
  }
  return [...network, ...loss, ", the smallest with wedge directions. Between them the response is up to ",
    stage.number("largest", largest / lambda, 5),
    element("span", {class: "live-warns"}, " times the bound"), ", so that another neuron can lower the loss; no network is below ",
    stage.number("dual", dual, 6), `, which is ${written((100 * (primal - dual)) / primal, 3)} % less.`];
}

function asPython(X, targets, lambda, norm) {
  const options = {one: "p=1", wedges: "p=2", two: "p=2, exact=True"}[norm];
  return ["from convexdiff_lib import wedge_denoising", "", `X = ${listed(X)}`, `targets = ${listed(targets)}`,
    `fit = wedge_denoising(X, targets, lam=${lambda}, ${options})`, "print(fit.value, fit.directions, fit.certificate)"].join("\n");
}
