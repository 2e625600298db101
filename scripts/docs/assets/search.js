// The search. The index is loaded when someone begins to search: as a script, since a page that was opened from a file
// may fetch nothing. This is a plain script for the same reason.

(() => {
  const root = document.documentElement.dataset.root ?? "";
  const box = document.querySelector(".search");
  const input = box.querySelector("input");
  const list = box.querySelector("ol");
  let chosen = -1;

  function load() {
    if (document.querySelector("script[data-index]") !== null) return;
    const script = document.createElement("script");
    script.dataset.index = "";
    script.src = `${root}search-index.js`;
    script.onload = show;
    document.head.append(script);
  }

  /** How well an entry fits: a title before a heading, a heading before the text. 0 if a word is missing. */
  function score([title, heading, , text], words) {
    let total = 0;
    for (const word of words) {
      const where = [title, heading, text].map((part) => part.toLowerCase().indexOf(word));
      if (where.every((index) => index < 0)) return 0;
      if (where[0] >= 0) total += heading === "" ? 12 : 3;
      if (where[1] >= 0) total += 6;
      if (where[2] >= 0) total += 1;
      if (heading === "" && title.toLowerCase() === word) total += 20;
      if (heading.toLowerCase().replace("()", "") === word) total += 8;
    }
    return total;
  }

  function show() {
    const query = input.value.trim().toLowerCase();
    list.hidden = query === "" || window.searchIndex === undefined;
    if (list.hidden) return;
    const words = query.split(/\s+/);
    const found = window.searchIndex
      .map((entry) => ({ entry, points: score(entry, words) }))
      .filter(({ points }) => points > 0)
      .sort((one, other) => other.points - one.points)
      .slice(0, 12);
    list.replaceChildren(...found.map(({ entry }) => item(entry, words)));
    if (found.length === 0) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "Nothing found";
      list.append(none);
    }
    choose(found.length > 0 ? 0 : -1);
  }

  function item([title, heading, link, text], words) {
    const line = document.createElement("li");
    const anchor = document.createElement("a");
    anchor.href = root + link;
    anchor.textContent = heading === "" ? title : `${title}: ${heading}`;
    const place = text.toLowerCase().indexOf(words[0]);
    const start = place < 40 ? 0 : text.lastIndexOf(" ", place - 30) + 1;
    const excerpt = document.createElement("small");
    excerpt.textContent = (start === 0 ? "" : "… ") + text.slice(start, start + 160);
    anchor.append(excerpt);
    line.append(anchor);
    return line;
  }

  function choose(index) {
    const links = list.querySelectorAll("a");
    chosen = links.length === 0 ? -1 : (index + links.length) % links.length;
    links.forEach((link, at) => {
      link.classList.toggle("chosen", at === chosen);
      if (at === chosen) link.scrollIntoView({ block: "nearest" });
    });
  }

  input.addEventListener("focus", load);
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") list.querySelectorAll("a")[chosen]?.click();
    else if (event.key === "Escape") list.hidden = true;
    else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (!box.contains(event.target)) list.hidden = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input") !== null) return;
    event.preventDefault();
    input.focus();
  });

  // The page that is being read is in sight in the list of pages.
  document.querySelector('nav.pages [aria-current="page"]')?.scrollIntoView({ block: "nearest" });
})();
