// What pages do beyond plain links and forms. Everything is declared in the markup:
//   data-key="w"            a link or button pressed by that key, or a field focused by it
//   data-submit             a field that sends its form when it changes
//   data-until="ISO time"   counts down; reloads the page when the time is over
//   data-toggles="id"       a button that shows or hides an element
//   data-closes             a button that closes the <dialog> around it;  data-opens="id" opens one
(() => {
  "use strict";

  const KEYS_OFF = "voile-keys-off"; // single keys can be switched off (WCAG 2.1.4)
  const keysOff = () => localStorage.getItem(KEYS_OFF) === "1";

  // Pages are written in the viewer's zone from the next one on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `voile_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

  function isTyping(target) {
    return target instanceof Element && target.closest("input:not([type=radio],[type=checkbox]), select, textarea, [contenteditable]");
  }

  function act(element) {
    if (element.matches("input, select, textarea")) element.focus();
    else element.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.key === "Escape") closeMenus(null);
    if (isTyping(event.target) || document.querySelector("dialog[open]") || (keysOff() && event.key !== "?")) return;
    const element = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (element) { event.preventDefault(); act(element); }
  });

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(except)) menu.open = false;
  }

  function toggle(button) {
    const open = document.getElementById(button.dataset.toggles).classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  }

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    closeMenus(target);
    const opens = target?.closest("[data-opens]");
    if (opens) document.getElementById(opens.dataset.opens).showModal();
    const toggles = target?.closest("[data-toggles]");
    if (toggles) toggle(toggles);
    if (target?.closest("[data-closes]")) target.closest("dialog").close();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
    if (event.target.matches("[data-keys-switch]")) localStorage.setItem(KEYS_OFF, event.target.checked ? "0" : "1");
  });

  function left(until) {
    const seconds = Math.max(0, Math.round((until - Date.now()) / 1000));
    return { seconds, text: seconds >= 90 ? `${Math.ceil(seconds / 60)} min` : `${seconds} s` };
  }

  function count() {
    for (const element of document.querySelectorAll("[data-until]")) {
      const { seconds, text } = left(Date.parse(element.dataset.until));
      if (element.textContent !== text) element.textContent = text;
      if (seconds === 0 && !element.dataset.over) { element.dataset.over = "1"; location.reload(); }
    }
  }
  setInterval(count, 1000);

  function prepare() {
    for (const box of document.querySelectorAll("[data-keys-switch]")) box.checked = !keysOff();
    count();
  }
  prepare();
  document.addEventListener("htmx:load", prepare);

  // A fragment that could not be had: load the whole page, which says what happened. What a page asks by itself is
  // only marked as old, and asked for again; when the session is over, the page itself says so.
  const byItself = (event) => event.detail.elt.matches("[hx-trigger^=every]");
  document.addEventListener("htmx:responseError", (event) => {
    if (!byItself(event)) location.href = event.detail.pathInfo.requestPath;
    else if (event.detail.xhr.status === 401) location.reload();
    else event.detail.elt.classList.add("stale");
  });
  document.addEventListener("htmx:sendError", (event) => { if (byItself(event)) event.detail.elt.classList.add("stale"); });
})();
