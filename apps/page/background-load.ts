/** Stories in the background: so many at once, one after the other, for as long as they are wanted. */
import { Conversation } from "./conversation.ts";
import type { PageEngine } from "./engine.ts";
import { storyPrompt } from "./models.ts";

const MAX_TOKENS = 200;

export class BackgroundLoad {
  readonly #onChange: () => void;
  readonly #running = new Map<number, Conversation>();
  #engine: Pick<PageEngine, "chat"> | undefined;
  #systemPrompt: string | undefined;
  #wanted = 0;
  #numAsked = 0;
  numFinished = 0;
  /** Why the last one failed; nothing is asked any more then. */
  problem: string | undefined;

  constructor(onChange: () => void = () => {}) {
    this.#onChange = onChange;
  }

  get numRunning(): number {
    return this.#running.size;
  }

  /** Fewer than before stops the youngest. */
  set(engine: Pick<PageEngine, "chat"> | undefined, wanted: number, systemPrompt?: string): void {
    this.#engine = engine;
    this.#systemPrompt = systemPrompt;
    this.#wanted = engine ? wanted : 0;
    this.problem = undefined;
    for (const [place, conversation] of this.#running)
      if (place > this.#wanted) conversation.stop();
    for (let place = 1; place <= this.#wanted; place++)
      if (!this.#running.has(place)) void this.#run(place);
    this.#onChange();
  }

  async #run(place: number): Promise<void> {
    while (place <= this.#wanted && this.#engine) {
      const engine = this.#engine;
      const conversation = new Conversation(`load ${place}`);
      this.#running.set(place, conversation);
      const number = this.#numAsked++;
      // The model's likeliest story is always the same; a little chance makes them differ.
      const { state, problem } = await conversation.send(engine, storyPrompt(number), {
        ...{ priority: "background", maxTokens: MAX_TOKENS, temperature: 0.7 },
        systemPrompt: this.#systemPrompt,
      });
      if (state === "finished") this.numFinished += 1;
      if (state === "failed" && engine === this.#engine) {
        this.problem = problem;
        this.#wanted = 0;
      }
      this.#onChange();
    }
    this.#running.delete(place);
    this.#onChange();
  }
}
