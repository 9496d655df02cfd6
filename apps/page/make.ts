/** Elements in one expression. Owns no state and knows nothing of the page. */

export type Child = Node | string | undefined | false;
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** `true` is an attribute without a value; false and undefined leave it out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : `${value}`);
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

/** Touches only what has changed. Without a text the element is hidden. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

export const options = (choices: readonly (readonly [value: string, text: string])[]) =>
  choices.map(([value, text]) => make("option", { value }, text));
