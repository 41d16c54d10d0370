// Answers about the plane as plain data: for each line of JSON one line of JSON.

import {createInterface} from "node:readline";

import * as plane from "../../_static/live/plane.mjs";
import * as check from "../../_static/live/plane_check.mjs";
import {train} from "../../_static/live/plane_train.mjs";

/** What can be asked: the name of a job, and what it gets. */
const JOBS = {
  chambers({points}) {
    const {chambers, lines, formula, zeros, merged} = plane.arrangement(points);
    return {
      patterns: chambers.map(({pattern}) => pattern.map(Number)), insides: chambers.map(({inside}) => inside),
      lines, formula, zeros, merged,
    };
  },
  wedges: ({points, p}) => plane.wedgeDirections(points, p).map(({u}) => u),
  peaks: ({points, Q, p}) => check.peaks(points, Q, p).map(({u, response}) => [...u, response]),
  response: ({points, Q, p, directions}) => directions.map((u) => check.responseAt(points, Q, p, u)),
  train: ({points, targets, lambda, options}) => train(points, targets, lambda, options),
  certify: ({points, targets, lambda, p, network, Q}) => check.certify(points, targets, lambda, p, network, Q),
};

for await (const line of createInterface({input: process.stdin})) {
  const {job, ...rest} = JSON.parse(line);
  let answer;
  try {
    answer = JOBS[job](rest);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    answer = {error: error.message};
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
