// Answers of the solver as plain data: under node one line of JSON for each line of JSON, in a browser by a call.

import {solve} from "../../_static/live/active_set.mjs";
import {problemOf} from "../../_static/live/problem.mjs";
import {missingIn, readColumns} from "../../_static/live/reading.mjs";
import * as solver from "../../_static/live/solver.mjs";

/** What can be asked: the name of a job, and what it gets. */
const JOBS = {
  fit({question, at}) {
    const fit = solver.fitScore(question);
    if (!fit.finite) return {finite: false, critical: fit.criticalWeightDecay, reason: fit.reason};
    const {logDensity, reason} = solver.densityOf(fit, at);
    const {holds, reason: why, scoreError, infeasibility, primal, dual} = fit.certificate;
    return {
      finite: true, critical: fit.criticalWeightDecay, value: fit.value, kinks: Array.from(fit.kinks),
      scores: Array.from(solver.scoreAt(fit, at)), outer: [fit.leftSlope, fit.rightSlope], reason,
      logDensity: logDensity && Array.from(logDensity), quartiles: Array.from(solver.quantile(fit, [0.25, 0.5, 0.75]) ?? []),
      certificate: {holds, reason: why, scoreError, infeasibility, primal, dual}, beam: plain(fit.beam), claim: plain(fit.claim),
    };
  },
  certify({question, claim}) {
    return solver.certify(question, claim);
  },
  choose({x, options}) {
    return plain(solver.chooseWeightDecay(x, options));
  },
  ways({question}) {
    const problem = problemOf(question);
    return Object.fromEntries(["careful", "quick"].map((way, quickly) => {
      const {spline, values, offset} = solve(problem, quickly === 1);
      return [way, {knots: spline.knots, sides: spline.sign, values, offset}];
    }));
  },
  order({seed, count}) {
    return {order: solver.randomGenerator(seed).permutation(count)};
  },
  read({text, options}) {
    const {columns, notes} = readColumns(text, options);
    return {columns: columns.map((column) => ({...column, left: missingIn(column)})), notes};
  },
  step({scores, positions, noise, stepSize}) {
    return {positions: Array.from(solver.annealedStep(scores, positions, noise, stepSize))};
  },
  random({seed, count}) {
    const {uniform, normal, permutation} = solver.randomGenerator(seed);
    const many = (draw) => Array.from({length: count}, draw);
    return {uniforms: many(uniform), normals: many(normal), order: permutation(count)};
  },
};

function plain(object) {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [name, ArrayBuffer.isView(value) ? Array.from(value) : value])
  );
}

/** Do one job; an error of the solver is an answer, too. */
export function answer({job, ...rest}) {
  try {
    return JOBS[job](rest);
  } catch (error) {
    if (!(error instanceof solver.InputError)) throw error;
    return {error: error.message};
  }
}

if (typeof process !== "undefined") {
  const {createInterface} = await import("node:readline");
  for await (const line of createInterface({input: process.stdin})) {
    process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
  }
}
