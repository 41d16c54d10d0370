// What a reader pastes or drops, read as columns of numbers; whatever cannot be read is named with its line.

import {InputError} from "./problem.mjs";

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {number[]} values
 * @property {number[]} missing Lines without a value, from 1 on.
 */

/**
 * @typedef {object} Reading
 * @property {Column[]} columns At least one, each with at least one number.
 * @property {string[]} notes Sentences about what was decided.
 */

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const DECIMAL_COMMA = /^[+-]?\d*,\d+(e[+-]?\d+)?$/i;
const MISSING = new Set(["", "na", "n/a", "nan", "null", "none", "-", "--", "?", ".", "missing"]);
const GROUPED = /^[+-]?\d{1,3}(['’_]\d{3})+(\D|$)/;
// A blank of fixed width, as between thousands, is written as ' first, so that it parts no columns.
const THIN = /(\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))/g;
const COMMAS = /(^|\s)[+-]?[1-9]\d{0,2}(,\d{3})+(?![\d,])/m;
const SWITCH = "switch on “comma is the decimal sign”";

/**
 * @param {string} text Lines of numbers, or a table with tabs, semicolons, commas or blanks between its columns.
 * @param {object} [options]
 * @param {boolean} [options.decimalComma] Whether a comma is the decimal sign, and parts no columns.
 * @returns {Reading}
 */
export function readColumns(text, {decimalComma = false} = {}) {
  const separator = separatorOf(text, decimalComma);
  const rows = text.replace(THIN, "$1'").split(/\r\n|\n|\r/)
    .map((line, k) => ({number: k + 1, cells: cellsOf(line, separator, decimalComma)}))
    .filter(({cells}) => cells.some((cell) => cell !== ""));
  if (!rows.length) throw new InputError("There are no numbers yet: paste a column, or drop a file.");
  const notes = [];
  const names = headerOf(rows);
  if (names) notes.push(`Line ${rows.shift().number} is taken for the names of columns.`);
  if (!rows.length) throw new InputError("There is a line of names, and no number below it.");
  if (names) checkWidths(rows, names, separator);
  const widths = new Set(rows.map(({cells}) => cells.length));
  const isList = rows.length === 1 || (widths.size > 1 && !names);
  const columns = isList ? [listOf(rows)] : tableOf(rows, names, notes);
  if (separator === "," && columns.length > 1 && !names) {
    notes.push(`Commas are taken to part ${columns.length} columns. If they are the decimal sign, ${SWITCH}.`);
  }
  if (separator === "," && COMMAS.test(text)) {
    notes.push("Commas are taken to part numbers. If they part thousands, leave them out.");
  }
  return {columns, notes};
}

/** Lines longer than that of the names would put numbers under wrong names. */
function checkWidths(rows, names, separator) {
  const tables = /\s/.test(separator) && names.length > 1; // R writes no name above the names of lines
  if (tables && rows.every(({cells}) => cells.length === names.length + 1)) names.unshift("");
  const longer = rows.find(({cells}) => cells.length > names.length);
  if (!longer) return;
  const entries = `${longer.cells.length} entries, and the line of names has ${names.length}`;
  throw new InputError(`Line ${longer.number} has ${entries}. Commas or blanks that part thousands have to be left out.`);
}

function separatorOf(text, decimalComma) {
  if (text.includes("\t")) return "\t";
  if (text.includes(";")) return ";";
  return text.includes(",") && !decimalComma ? "," : " ";
}

function cellsOf(line, separator, decimalComma) {
  if (!line.trim()) return [""];
  const pieces = separator === " " ? line.trim().split(decimalComma ? /,?\s+/ : /\s+/) : line.split(separator);
  const parts = line.includes('"') ? unquoted(pieces, separator) : pieces;
  const cells = parts.map((part) => {
    const cell = part.trim().replace(/^(["'])(.*)\1$/, "$2").trim().replace(/[−–]/g, "-");
    return decimalComma && DECIMAL_COMMA.test(cell) ? cell.replace(",", ".") : cell;
  });
  while (cells.length > 1 && cells[cells.length - 1] === "" && separator !== "\t") cells.pop();
  return cells;
}

/** Put together again what was parted between double quotes. */
function unquoted(parts, separator) {
  const cells = [];
  let quoted = false, open = false;
  for (const part of parts) {
    if (open) cells[cells.length - 1] += separator + part;
    else cells.push(part);
    if (!open) quoted = part.trim().startsWith('"');
    if (quoted && part.split('"').length % 2 === 0) open = !open;
  }
  return open ? parts : cells;
}

/** The first line, if none of it is a number, or meant to be one, and it has words. */
function headerOf(rows) {
  const {cells} = rows[0];
  const isNumber = (cell) => NUMBER.test(cell) || DECIMAL_COMMA.test(cell);
  const isName = (cell) => !isNumber(cell) && (/\p{L}/u.test(cell) || !/\d/.test(cell));
  return cells.every(isName) && cells.some((cell) => !MISSING.has(cell.toLowerCase())) ? cells : null;
}

/** All numbers, line by line. */
function listOf(rows) {
  const values = [], missing = [];
  for (const {number, cells} of rows) {
    for (const cell of cells) {
      if (MISSING.has(cell.toLowerCase())) missing.push(number);
      else values.push(numberOf(cell, number));
    }
  }
  if (!values.length) throw new InputError("There is no number in these lines, only missing values.");
  return {name: "all numbers", values, missing: [...new Set(missing)]};
}

/** The columns that have numbers only. */
function tableOf(rows, names, notes) {
  const count = rows.reduce((most, {cells}) => Math.max(most, cells.length), 0);
  const found = [], faults = [];
  for (let k = 0; k < count; k++) {
    try {
      const {values, missing} = listOf(rows.map(({number, cells}) => ({number, cells: [cells[k] ?? ""]})));
      found.push({name: names?.[k] || `column ${k + 1}`, values, missing});
    } catch (error) {
      faults.push({name: names?.[k] || `column ${k + 1}`, error});
    }
  }
  if (!found.length) throw faults[0].error;
  for (const {name, error} of faults) notes.push(`The column “${short(name)}” is left out. ${error.message}`);
  return found;
}

function numberOf(cell, line) {
  if (NUMBER.test(cell)) {
    const value = Number(cell);
    if (!Number.isFinite(value)) throw new InputError(`Line ${line}: “${short(cell)}” is too large for a number.`);
    if (value || /^[^1-9e]*(e|$)/i.test(cell)) return value;
    throw new InputError(`Line ${line}: “${short(cell)}” is too small for a number.`);
  }
  if (GROUPED.test(cell)) {
    throw new InputError(`Line ${line}: “${short(cell)}” has a sign between thousands. Leave it out.`);
  }
  if (DECIMAL_COMMA.test(cell)) {
    const written = cell.replace(",", ".");
    const thousands = /,\d{3}$/.test(cell) ? " If it parts thousands, leave it out." : "";
    throw new InputError(
      `Line ${line}: “${short(cell)}” has a decimal comma. Write ${short(written)}, or ${SWITCH}.${thousands}`
    );
  }
  const several = cell.split(/\s+/).length > 1 ? ` If the comma is the decimal sign, ${SWITCH}.` : "";
  throw new InputError(`Line ${line}: “${short(cell)}” is not a number.${several}`);
}

function short(cell) {
  return cell.length > 24 ? `${cell.slice(0, 23)}…` : cell;
}

/** Which lines of a column have no value, in a sentence. @param {Column} column */
export function missingIn({missing}) {
  if (!missing.length) return "";
  const shown = missing.slice(0, 5).join(", "), more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
  const [lines, have] = missing.length > 1 ? ["Lines", "have no value and are"] : ["Line", "has no value and is"];
  return `${lines} ${shown}${more} ${have} left out.`;
}
