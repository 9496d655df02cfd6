/** The kernel lab, which is a page of its own, in a frame; and what others measured with it. */
import { make } from "./make.ts";

const REPORTS = [
  ["../reports/lab-swiftshader.html", "Chrome on SwiftShader"],
  ["../reports/lab-llvmpipe.html", "Node on llvmpipe"],
] as const;

export function labPanel(): { element: HTMLElement; open: () => void } {
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
  const open = () => {
    element.append(make("iframe", { src: "../lab/", title: "Kernel lab" }));
  };
  return { element, open };
}
