/** The kernel lab, which is a page of its own, in a frame; and what others measured with it. */
import { make } from "./make.ts";

const REPORTS = [
  ["../reports/lab-swiftshader.html", "Chrome on SwiftShader"],
  ["../reports/lab-llvmpipe.html", "Node on llvmpipe"],
] as const;

export interface LabPanel {
  readonly element: HTMLElement;
  /** Loads the lab, the first time that it is seen. */
  open(): void;
  /** The lab looks as the page does. */
  matchTheme(): void;
}

export function labPanel(): LabPanel {
  const links = REPORTS.flatMap(([href, name]) => [
    make("a", { href, target: "_blank" }, name),
    " · ",
  ]);
  const element = make(
    "div",
    { class: "lab" },
    make(
      "p",
      { class: "soft" },
      "Measures this GPU, then every kernel at the sizes of real models. Reports of other machines: ",
      ...links,
      make("a", { href: "../lab/", target: "_blank" }, "the lab in a tab of its own"),
    ),
  );
  const frame = make("iframe", { title: "Kernel lab" });
  const matchTheme = () => {
    const root = frame.contentDocument?.documentElement;
    const { theme } = document.documentElement.dataset;
    if (root && theme) root.dataset.theme = theme;
    else if (root) delete root.dataset.theme;
  };
  frame.addEventListener("load", matchTheme);
  const open = () => {
    frame.src = "../lab/";
    element.append(frame);
  };
  return { element, open, matchTheme };
}
