// Sets a password with the link's token. The token leaves the address bar at once, so that it is in no history or referrer.
const token = new URLSearchParams(location.search).get("token");
history.replaceState(null, "", location.pathname);
const form = document.querySelector("form");
const note = document.querySelector(".note");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = form.elements.password.value;
  if (password !== form.elements.again.value) {
    note.textContent = "The two passwords differ.";
    return;
  }
  const answer = await fetch("/api/v1/auth/set-password", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, password }),
  });
  if (answer.ok) {
    form.remove();
    note.textContent = "Your password is set. You can sign in now.";
    return;
  }
  const problem = await answer.json();
  const faults = (problem.errors ?? []).map((fault) => fault.message);
  note.textContent = faults.length ? faults.join(" ") : problem.detail;
});
