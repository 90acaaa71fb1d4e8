import { assertEquals, assertRejects } from "@std/assert";
import { parquetWriteBuffer } from "hyparquet-writer";
import { parquetRows } from "../../src/files/parquet_rows.ts";
import { test } from "../helpers/test.ts";

test.inDir("parquetRows() gives rows as JSON could hold them", async (dir) => {
  const path = `${dir}/rows.parquet`;
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: "prompt", data: ["1+1=", "2+2="], type: "STRING" },
      { name: "answer", data: [2n, 9007199254740993n], type: "INT64" },
      { name: "messages", data: [[{ role: "user" }], []], type: "JSON" },
    ],
  });
  await Deno.writeFile(path, new Uint8Array(bytes));
  assertEquals(await parquetRows(path), [
    { prompt: "1+1=", answer: 2, messages: [{ role: "user" }] },
    { prompt: "2+2=", answer: "9007199254740993", messages: [] },
  ]);
  await Deno.writeTextFile(path, "PAR1 but no more");
  await assertRejects(() => parquetRows(path), TypeError, "rows.parquet cannot be read as parquet");
});
