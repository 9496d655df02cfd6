/** Several models on one platform: how each is loaded, within what the budget leaves it. */
import { createEngineWith, type Platform } from "../create-engine.ts";
import type { HostedEngine } from "../engine-api.ts";
import { WeftError } from "../errors.ts";
import { ModelSet, type SetMember } from "./model-set.ts";
import { type MemberOptions, type ModelSetOptions, memberOptions } from "./model-set-options.ts";
import type { LoadHow } from "./model-slot.ts";

/** @throws {WeftError} `bad_request`, and of every kind that loading the first model can. */
export async function createModelSet(
  platform: Platform,
  options: ModelSetOptions,
  resolve: (model: MemberOptions["model"]) => MemberOptions["model"] = (model) => model,
): Promise<ModelSet> {
  try {
    const { device, onProgress, signal, memoryBudgetBytes } = options;
    const members = new Map<string, SetMember>();
    for (const [name, { pinned = false, ...member }] of memberOptions(options)) {
      const given = { ...member, model: resolve(member.model), name, device, onProgress };
      const load = (how: LoadHow) => loadMember(platform, given, how);
      members.set(name, { load, isPinned: pinned });
    }
    return await ModelSet.open(members, memoryBudgetBytes ?? Number.POSITIVE_INFINITY, signal);
  } catch (error) {
    throw WeftError.from(error);
  }
}

type Member = MemberOptions & Pick<ModelSetOptions, "device" | "onProgress"> & { name: string };

function loadMember(platform: Platform, member: Member, how: LoadHow): Promise<HostedEngine> {
  const { memoryBudgetBytes: own } = member;
  return createEngineWith(platform, { ...member, signal: how.signal }, async (bytesWithin) => {
    const whole = await bytesWithin(own);
    // What it takes when nobody limits it may be more than there is: the cache is what gives way.
    const budget = own === undefined && whole > how.mostBytes ? how.mostBytes : own;
    await how.reserve(budget === own ? whole : await bytesWithin(budget));
    return budget;
  });
}
