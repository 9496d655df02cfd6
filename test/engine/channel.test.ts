// The engine suite once more, through a MessageChannel: what crosses the door is plain data. The
// model is not the point here, so two of its layers do.

import { demoFolder, nodePlatform } from "./node-model.ts";
import { shallowFolder } from "./shallow-folder.ts";
import { opener } from "./subject.ts";
import { engineSuite } from "./suite.ts";
import { throughChannel } from "./through-channel.ts";

engineSuite(
  opener({
    platform: nodePlatform,
    folder: shallowFolder(demoFolder(), 2),
    device: "reference",
    door: throughChannel,
  }),
);
