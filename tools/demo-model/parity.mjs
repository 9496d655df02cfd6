// Encodes and renders samples with the JavaScript libraries that the engine uses.
// Owns nothing else: check_parity.py feeds it on stdin and compares.
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";

const folder = process.argv[2];
const json = (name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
const template = new Template(readFileSync(`${folder}/chat_template.jinja`, "utf8"));

const samples = JSON.parse(readFileSync(0, "utf8"));
const results = samples.map(({ messages, tools, thinking, answer }) => {
  const prompt = template.render({
    messages,
    tools: tools ?? undefined,
    add_generation_prompt: true,
    enable_thinking: thinking,
  });
  const ids = tokenizer.encode(prompt).ids;
  const answerIds = tokenizer.encode(answer).ids;
  return { prompt, ids, answerIds, decoded: tokenizer.decode(answerIds) };
});
let refusal = "";
try {
  template.render({ messages: [{ role: "wizard", content: "" }] });
} catch (error) {
  refusal = String(error.message);
}
process.stdout.write(JSON.stringify({ results, refusal }));
