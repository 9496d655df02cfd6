/** A canvas as sharp as the screen, in the colours of the style sheet. Draws nothing itself. */

export interface Palette {
  readonly back: string;
  readonly panel: string;
  readonly line: string;
  readonly text: string;
  readonly soft: string;
  readonly accent: string;
  /** Of text on the accent. */
  readonly onAccent: string;
}

/** As the theme has them now. */
export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim() || "gray";
  return {
    ...{ back: color("back"), panel: color("panel"), line: color("line") },
    ...{ text: color("text"), soft: color("soft") },
    ...{ accent: color("accent"), onAccent: color("on-accent") },
  };
}

/** Empty, in CSS pixels. */
export function clearCanvas(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D {
  const scale = globalThis.devicePixelRatio || 1;
  const [pixelWidth, pixelHeight] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d")!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
