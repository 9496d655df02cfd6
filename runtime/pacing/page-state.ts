/** What an engine is told of a page that it serves. Plain data. */
export interface PageState {
  /** `frozen`: its scripts do not run, nor do those of its workers soon. */
  readonly visibility: "visible" | "hidden" | "frozen";
  /** Of the frames since the last report, while the engine worked for the page; none where none was shown. */
  readonly frames?: FrameReport;
}

export interface FrameReport {
  readonly count: number;
  /** Frames that the display would have shown besides. */
  readonly dropped: number;
}
