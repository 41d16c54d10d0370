/** Controls of an instrument: native ones, with labels, and values that are spoken. */

import {element, written} from "./chart.mjs";

const STEPS = 384; // of a slider from end to end: 64 for each doubling from 1/2 to 32

let count = 0;

function newId(what) {
  count += 1;
  return `live-${what}-${count}`;
}

/**
 * A slider. Its value is rounded, so that what is shown is what is computed with.
 * @param {object} options
 * @param {string} options.label
 * @param {number} options.min
 * @param {number} options.max
 * @param {number} options.value
 * @param {boolean} [options.log] - whether equal steps multiply
 * @param {number} [options.digits] - significant digits of the value
 * @param {function(number): string} [options.text] - how the value is written and spoken
 * @param {function(): void} options.changed
 */
export class Slider {
  constructor({label, min, max, value, log = false, digits = 3, text = written, changed}) {
    Object.assign(this, {min, max, log, digits, text});
    const id = newId("slider");
    this.output = element("output", {for: id, "aria-live": "off"});
    this.input = element("input", {
      id, type: "range", min: 0, max: STEPS, step: 1,
      oninput: () => {
        this.take(this.at(+this.input.value / STEPS));
        changed();
      },
    });
    this.name = element("label", {for: id}, label);
    this.node = element("div", {class: "live-control live-slider"}, this.name, this.output, this.input);
    this.value = value;
  }

  get value() {
    return this.current;
  }

  /** Any value between the ends, with all its digits. */
  set value(value) {
    this.take(Math.max(this.min, Math.min(this.max, value)), false);
    const part = this.log
      ? Math.log(this.current / this.min) / Math.log(this.max / this.min)
      : (this.current - this.min) / (this.max - this.min);
    this.input.value = Math.round(part * STEPS);
  }

  /** Let the slider go from `min` to `max`; the value stays if it lies between them. */
  range(min, max) {
    if (min === this.min && max === this.max) return;
    Object.assign(this, {min, max});
    this.value = this.current;
  }

  at(part) {
    return this.log ? this.min * (this.max / this.min) ** part : this.min + part * (this.max - this.min);
  }

  take(value, rounded = true) {
    const near = rounded && value !== 0 ? Number(value.toPrecision(this.digits)) : value;
    this.current = Math.max(this.min, Math.min(this.max, near));
    this.output.textContent = this.text(this.current);
    this.output.dataset.value = this.current;
    this.input.setAttribute("aria-valuetext", this.text(this.current));
  }
}

/** One of several: radio buttons in a group, with `options` {value: words}. */
export class Choice {
  constructor({label, options, value, changed}) {
    const name = newId("choice");
    this.inputs = Object.keys(options).map((key) =>
      element("input", {type: "radio", name, value: key, checked: key === value, onchange: changed}));
    const words = this.inputs.map((input) => element("label", {}, input, ` ${options[input.value]}`));
    this.node = element("fieldset", {class: "live-control live-choice"}, element("legend", {}, label), ...words);
  }

  get value() {
    return this.inputs.find((input) => input.checked).value;
  }

  set value(value) {
    for (const input of this.inputs) input.checked = input.value === value;
  }
}

/** A switch that is on or off. */
export class Toggle {
  constructor({label, value = false, changed}) {
    this.input = element("input", {type: "checkbox", role: "switch", checked: value, onchange: changed});
    this.node = element("label", {class: "live-control live-toggle"}, this.input, ` ${label}`);
  }

  get value() {
    return this.input.checked;
  }

  set value(value) {
    this.input.checked = value;
  }
}

/** A button. */
export class Button {
  constructor({label, pressed}) {
    this.node = element("button", {type: "button", onclick: pressed}, label);
  }
}

/** A list to choose from, with `options` {value: words}. */
export class Select {
  constructor({label, options, value, changed}) {
    const id = newId("select");
    const entries = Object.entries(options).map(([key, words]) =>
      element("option", {value: key, selected: key === value}, words));
    this.input = element("select", {id, onchange: changed}, ...entries);
    this.node = element("div", {class: "live-control"}, element("label", {for: id}, label), " ", this.input);
  }

  get value() {
    return this.input.value;
  }

  set value(value) {
    this.input.value = value;
  }
}

/**
 * A line of numbers that can be typed and pasted. `entered(numbers)` is called when the reader leaves it or
 * presses Enter; what it throws, and what is no number, is told next to it.
 */
export class Numbers {
  constructor({label, entered}) {
    const id = newId("numbers");
    this.fault = element("span", {class: "live-fault", role: "alert", id: `${id}-fault`});
    this.input = element("input", {
      id, type: "text", inputmode: "decimal", spellcheck: "false", autocomplete: "off", "aria-describedby": `${id}-fault`,
      oninput: () => (this.typing = true),
      onchange: () => {
        this.typing = false;
        this.tell(() => entered(numbers(this.input.value)));
      },
    });
    this.node = element("div", {class: "live-control live-numbers"}, element("label", {for: id}, label), this.input, this.fault);
  }

  /** Write numbers, unless the reader is writing there. */
  write(values) {
    if (this.typing || (document.activeElement === this.input && this.fault.textContent)) return;
    this.input.value = Array.from(values, String).join(", ");
    this.fault.textContent = "";
    this.input.removeAttribute("aria-invalid");
  }

  tell(act) {
    this.fault.textContent = "";
    this.input.removeAttribute("aria-invalid");
    try {
      act();
    } catch (error) {
      this.fault.textContent = error.message;
      this.input.setAttribute("aria-invalid", "true");
    }
  }
}

/** Read the numbers of a text that commas, semicolons or blanks part. */
export function numbers(text) {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const found = words.map((word) => Number(word.replace(/^[−–]/, "-")));
  const bad = words.find((_, k) => !Number.isFinite(found[k]));
  if (bad !== undefined) throw new Error(`“${bad.slice(0, 20)}” is not a number.`);
  return found;
}

/** Folded text to copy, as the lines of Python that do the same. */
export class Copy {
  constructor({label}) {
    this.area = element("textarea", {readonly: true, rows: 5, spellcheck: "false", "aria-label": label});
    this.node = element("details", {class: "live-copy", ontoggle: () => this.fill()}, element("summary", {}, label), this.area);
  }

  /** Give a function that writes the text; it is asked only while the text is unfolded. */
  write(text) {
    this.text = text;
    this.fill();
  }

  fill() {
    if (this.node.open) this.area.value = this.text();
  }
}

/**
 * A button that plays, and one that goes a single step. `step()` does one step and returns whether there is
 * another. Who prefers reduced motion gets two steps in a second instead of a film.
 */
export class Player {
  constructor({label, step, perSecond = 20}) {
    Object.assign(this, {step, timer: 0, perSecond});
    this.main = element("button", {type: "button", onclick: () => (this.timer ? this.pause() : this.play())}, "Play");
    this.single = element("button", {type: "button", onclick: () => { this.pause(); step(); }}, "One step");
    this.node = element("div", {class: "live-buttons", role: "group", "aria-label": label}, this.main, this.single);
  }

  get playing() {
    return this.timer !== 0;
  }

  play() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.main.textContent = "Pause";
    this.timer = setInterval(() => {
      if (!this.node.isConnected || !this.step()) this.pause();
    }, 1000 / (calm ? 2 : this.perSecond));
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.main.textContent = "Play";
  }
}
