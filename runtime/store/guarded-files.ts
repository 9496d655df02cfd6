/** A file store whose errors are WeftErrors: whatever the platform throws, but for a lack of room. */
import { reasonOf, WeftError } from "../errors.ts";
import { type FileStore, NoRoomError } from "./file-store.ts";

export function guarded(files: FileStore): FileStore {
  const guard = async <T>(doing: Promise<T>): Promise<T> => {
    try {
      return await doing;
    } catch (cause) {
      if (cause instanceof NoRoomError || cause instanceof WeftError) throw cause;
      throw new WeftError(
        "store_failed",
        `the model store in ${files.location} cannot be used: ${reasonOf(cause)}; check its permissions, ` +
          "or create the engine with store: false",
        { cause },
      );
    }
  };
  return {
    location: files.location,
    isAvailable: () => files.isAvailable(),
    folders: (path) => guard(files.folders(path)),
    files: (path) => guard(files.files(path)),
    read: (path, from, to) => guard(files.read(path, from, to)),
    write: (path, bytes) => guard(files.write(path, bytes)),
    remove: (path) => guard(files.remove(path)),
    estimate: () => guard(files.estimate()),
    persist: files.persist && (() => guard(files.persist!())),
    sha256: files.sha256,
  };
}
