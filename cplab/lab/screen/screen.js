// What the explorer, the nursery and the button of `lab.live` share: their named parts, and the looks
// in screen.css.

const DOUBLE = 500; // milliseconds within which a second press does not count

// Each part of an element with `data-is=NAME` becomes the element's property of that name. Returns
// the root of all parts.
function collect(element) {
  for (const part of element.querySelectorAll("[data-is]")) element[part.dataset.is] = part;
  return element.querySelector(".cplab-s");
}

// Write a text if it has changed: screen readers speak whatever is written.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A number with one decimal, and a true minus sign unless it is 0.
function oneDecimal(value) {
  const text = value.toFixed(1);
  return text === "-0.0" ? "0.0" : text.replace("-", "−");
}
