// The work list: which recording next?

import { el, fill, key } from "./dom.js";
import { count } from "./times.js";
import { getJSON } from "./api.js";

const RANK = { urgent: 0, important: 1, note: 2, info: 3, "": 4 };
export const STATES = ["automatic", "in review", "confirmed"];

// The most urgent recording that nobody has confirmed, after the one that is open.
export function nextOpen(recordings, name) {
  const open = inOrder(recordings).filter((one) => one.status !== "confirmed");
  const at = open.findIndex((one) => one.name === name);
  return open[(at + 1) % open.length]?.name;
}

export function inOrder(recordings) {
  return [...recordings].sort((a, b) =>
    (a.status === "confirmed") - (b.status === "confirmed") || RANK[a.urgency] - RANK[b.urgency] || b.veb_pct - a.veb_pct || a.name.localeCompare(b.name, "en", { numeric: true }));
}

export class WorkList {
  constructor(app) {
    this.app = app;
    this.query = "";
    this.state = "";
    this.urgency = "";
    this.chosen = 0;
  }

  async open(host) {
    this.rows = el("tbody");
    this.tally = el("p", { class: "soft tally", role: "status" });
    const search = el("input", {
      type: "search", id: "search", placeholder: "Name or finding", autocomplete: "off",
      oninput: (event) => { this.query = event.target.value.toLowerCase(); this.chosen = 0; this.draw(); },
    });
    search.value = this.query;
    fill(
      host,
      el("div", { class: "page worklist" },
        el("div", { class: "bar" },
          el("h1", {}, "Work list"),
          el("label", { for: "search", class: "soft" }, "Search ", key("/")), search,
          this.select("Urgency", "urgency", ["urgent", "important", "note", "info"]),
          this.select("State", "state", STATES),
          el("span", { class: "spring" }),
          el("button", { type: "button", class: "primary", onclick: () => this.app.next() }, "Next unreviewed ", key("]"))),
        el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Recordings, most urgent first" },
          el("table", { class: "recordings" },
            el("thead", {}, el("tr", {}, ...["Recording", "State", "Findings", "Open questions", "Beats", "VEB", "SVEB", "AF", "Length"].map((name, at) =>
              el("th", { scope: "col", class: at > 0 && at < 3 ? "text" : null }, name)))),
            this.rows)),
        this.tally),
    );
    this.draw();
    this.timer = setInterval(() => this.refresh(), 4000);
    await this.refresh();
  }

  close() { clearInterval(this.timer); }

  select(title, field, values) {
    const node = el("select", { "aria-label": title, onchange: (event) => { this[field] = event.target.value; this.chosen = 0; this.draw(); } },
      el("option", { value: "" }, `${title}: all`),
      ...values.map((value) => el("option", { value, selected: this[field] === value }, value[0].toUpperCase() + value.slice(1))));
    return node;
  }

  async refresh() {
    this.app.recordings = (await getJSON("/api/recordings")).recordings;
    this.draw();
  }

  shown() {
    const named = (one) => one.name.toLowerCase().includes(this.query); // before those with a finding that reads so
    return inOrder(this.app.recordings ?? []).filter((one) =>
      (!this.state || one.status === this.state) && (!this.urgency || one.urgency === this.urgency) &&
      (named(one) || one.findings.some(({ text }) => text.toLowerCase().includes(this.query))))
      .sort((a, b) => named(b) - named(a));
  }

  draw() {
    const shown = this.shown(), stamp = JSON.stringify([shown, this.chosen]);
    if (stamp === this.stamp && this.rows.childElementCount) return;
    this.stamp = stamp;
    this.chosen = Math.max(0, Math.min(this.chosen, shown.length - 1));
    const focused = this.rows.contains(document.activeElement);
    fill(this.rows, shown.map((one, at) => this.row(one, at === this.chosen)));
    if (focused) this.rows.querySelector(".chosen a")?.focus({ preventScroll: true });
    const open = shown.filter((one) => one.status !== "confirmed").length;
    this.tally.textContent = shown.length
      ? `${count(shown.length)} recording${shown.length === 1 ? "" : "s"}, ${count(open)} not confirmed.`
      : "No recording fits. Change the search or the filters.";
  }

  row(one, chosen) {
    const more = one.findings.length - 3;
    return el("tr", { class: chosen ? "chosen" : null, onclick: (event) => event.target.closest("a") || this.app.go(one.name) },
      el("th", { scope: "row" }, el("a", { href: this.app.address(one.name), "aria-current": chosen ? "true" : null }, one.name)),
      el("td", { class: "text" }, el("span", { class: `state ${one.status.replace(" ", "-")}` }, one.status), one.confirmed_by ? el("span", { class: "soft small" }, ` by ${one.confirmed_by}`) : null),
      el("td", { class: "text" }, el("ul", { class: "findings" },
        one.findings.slice(0, 3).map(({ urgency, text }) => el("li", {}, el("span", { class: `chip ${urgency}` }, urgency), el("span", { class: "one-line", title: text }, text[0].toUpperCase() + text.slice(1)))),
        more > 0 ? el("li", { class: "soft small" }, el("span"), el("span", {}, `${more} more`)) : null)),
      el("td", { "data-name": "Open questions" }, one.n_decisions === null ? el("span", { class: "soft", title: "Not counted yet: the most urgent recordings are counted first, the others when they are opened" }, "–") : count(one.n_decisions)),
      ...[["Beats", one.n_beats === null ? "" : count(one.n_beats)], ["VEB", percent(one.veb_pct)], ["SVEB", percent(one.sveb_pct)], ["AF or flutter", percent(one.af_pct)], ["Length", hours(one.hours)]]
        .map(([name, value]) => el("td", { "data-name": name }, value)));
  }

  press(event) {
    const shown = this.shown(), step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step) {
      this.chosen = Math.max(0, Math.min(shown.length - 1, this.chosen + step));
      this.draw();
      this.rows.querySelector(".chosen a")?.focus();
    } else if (event.key === "Enter" && shown[this.chosen] && !event.target.closest("button, a, select")) this.app.go(shown[this.chosen].name);
    else if (event.key === "/") document.getElementById("search").focus();
    else return false;
    return true;
  }
}

const percent = (value) => (value === null ? "" : `${value.toFixed(1)} %`);
const hours = (value) => (value === null ? "" : value < 1 ? `${Math.round(value * 60)} min` : `${value.toFixed(1)} h`);

WorkList.keys = [["↑ ↓", "choose a recording"], ["Enter", "open it"], ["/", "search"]];
