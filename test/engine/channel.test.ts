// The engine suite once more, through a MessageChannel: what crosses the door is plain data.

import { demoFolder, nodePlatform } from "./node-model.ts";
import { opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";
import { throughChannel } from "./through-channel.ts";

engineSuite(
  opener({
    platform: nodePlatform,
    folder: demoFolder(),
    device: "reference",
    door: throughChannel,
  }),
);
