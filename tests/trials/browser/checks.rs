//! What a page must have for people who see little.

/// A script that lists what falls short of WCAG 2.2: contrast, room for fingers, scrolling sideways.
pub(crate) const CHECKS: &str = r"
const wrong = [];
const light = (colour) => {
  const part = (value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const [r, g, b] = colour.map(part);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\d.]+/g).map(Number);
const back = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
    if (a === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
let texts = 0;
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.closest('.hidden, template, noscript')) continue;
  texts += 1;
  const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(back(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) wrong.push(`${e.textContent.trim().slice(0, 20)}: contrast ${ratio.toFixed(2)}`);
}
if (texts < 30) wrong.push(`only ${texts} texts found`);
for (const e of document.querySelectorAll('button, summary, label')) {
  if (!e.checkVisibility()) continue;
  const { width, height } = e.getBoundingClientRect();
  if (width < 24 || height < 24) wrong.push(`${e.textContent}: ${width} x ${height}`);
}
const page = document.scrollingElement;
if (page.scrollWidth > page.clientWidth) wrong.push(`${page.scrollWidth} wide`);
return wrong;
";
