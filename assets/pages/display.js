// Looks at the board anew every four seconds. While the clinic cannot be reached it says so: an old number must not look new.
(() => {
  const PACE = 4000, STALE = 20000;
  let heard = Date.now();

  async function look() {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PACE) });
      if (answer.ok || answer.status === 404) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.querySelector("main").replaceChildren(...page.querySelector("main").children);
        heard = Date.now();
      }
    } catch {
      // Tried again at the next turn.
    }
    const stale = Date.now() - heard > STALE;
    document.body.classList.toggle("stale", stale);
    document.querySelector(".old").hidden = !stale;
    setTimeout(look, PACE);
  }

  setTimeout(look, PACE);
})();
