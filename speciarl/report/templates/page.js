// What the page does beyond showing: values on hover, and examples by choice. All there is to read
// is there without it.
const drawAgain = (chart) => {
  const drawn = chart.querySelector("svg"), live = document.createElement("div");
  const specification = JSON.parse(chart.querySelector("script").textContent);
  const options = { actions: false, ast: true, renderer: "svg" };
  vegaEmbed(live, specification, options).then(() => {
    const svg = live.querySelector("svg");
    // Each chart is one image with a name; its parts have none.
    svg.querySelectorAll("[role]").forEach((part) => part.removeAttribute("role"));
    svg.querySelectorAll("[aria-roledescription]").forEach((part) => part.removeAttribute("aria-roledescription"));
    for (const name of ["role", "aria-label"]) svg.setAttribute(name, drawn.getAttribute(name));
    drawn.replaceWith(live);
  });
};

// A chart costs a tenth of a second, so each is drawn when it comes into view.
const coming = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    coming.unobserve(target);
    drawAgain(target);
  }
}, { rootMargin: "300px" });
document.querySelectorAll(".chart").forEach((chart) => coming.observe(chart));

const form = document.querySelector("#choose"), PAGE = 24;
if (form) {
  const cards = [...document.querySelectorAll(".example")];
  const count = document.querySelector("#chosen"), more = document.querySelector("#more");
  let most = PAGE;
  const choose = () => {
    const { dataset, ...wanted } = Object.fromEntries(new FormData(form));
    // One run must meet all that is asked of a run; the others are shown beside it.
    const meets = (said) => Object.entries(wanted).every(([k, v]) => !v || said.dataset[k] === v);
    const found = cards.filter((card) => {
      const rows = [...card.querySelectorAll("tr")];
      rows.forEach((said) => said.classList.toggle("meant", Object.values(wanted).some(Boolean) && meets(said)));
      return (!dataset || card.dataset.dataset === dataset) && rows.some(meets);
    });
    cards.forEach((card) => { card.hidden = true; });
    found.slice(0, most).forEach((card) => { card.hidden = false; });
    count.textContent = `${Math.min(most, found.length)} of ${found.length} examples`;
    more.hidden = found.length <= most;
  };
  form.addEventListener("input", () => { most = PAGE; choose(); });
  form.addEventListener("reset", () => setTimeout(() => { most = PAGE; choose(); }));
  more.addEventListener("click", () => { most += PAGE; choose(); });
  form.hidden = false;
  choose();
}
