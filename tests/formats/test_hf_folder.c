/* Folders as Hugging Face makes them, files alone, links, and what is no model at all. */
#include "runtime/mcpk.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(hf_folder, .init = scratch_enter, .fini = scratch_leave);
TestSuite(formats, .init = scratch_enter, .fini = scratch_leave);

static const char one[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
static const char none[] = "{}";
static const mc_read_options hardened = {.no_follow = true};

static void link_to(const char *target, const char *name)
{
    cr_assert_eq(symlink(target, name), 0, "%s", name);
}

/* "path role" of every source, in their order, joined by ", ". */
static void expect_sources(const mc_model *m, const char *wanted)
{
    char found[1024] = "";
    for (size_t i = 0; i < m->sources; i++) {
        if (i > 0) strcat(found, ", ");
        strcat(strcat(strcat(found, m->source[i].path), " "), m->source[i].role);
    }
    cr_expect_str_eq(found, wanted, "found  %s\nwanted %s", found, wanted);
}

Test(hf_folder, gives_weights_first_and_what_lies_beside)
{
    scratch_put_text("d/special_tokens_map.json", "{}");
    scratch_put_text("d/tokenizer_config.json", "{}");
    scratch_put_text("d/tokenizer.model", "x");
    scratch_put_text("d/tokenizer.json", "{}");
    scratch_put_text("d/generation_config.json", "{}");
    scratch_put_text(
        "d/config.json",
        "{\"architectures\":[\"LlamaForCausalLM\",\"B\"],\"tie_word_embeddings\":true}");
    scratch_put_text("d/README.md", "x");
    scratch_put_model("d/model.safetensors", one, 1);
    scratch_put_model("d/other.safetensors", one, 1);
    mc_model m = scratch_open("d");
    expect_sources(
        &m,
        "d/model.safetensors weights, d/config.json config, d/generation_config.json "
        "generation_config, d/tokenizer.json tokenizer, d/tokenizer.model tokenizer_model, "
        "d/tokenizer_config.json tokenizer_config, d/special_tokens_map.json special_tokens_map");
    cr_expect_str_eq(m.format, "hf-folder");
    cr_expect_str_eq(m.path, "d");
    cr_expect_str_eq(m.architecture, "LlamaForCausalLM");
    cr_expect(m.tied_head);
    cr_expect_eq(mc_model_source(&m, "tokenizer")->map.size, 2);
    mc_model_close(&m);
}

Test(hf_folder, needs_no_config)
{
    scratch_put_model("d/model.safetensors", one, 1);
    mc_model m = scratch_open("d");
    cr_expect_null(m.architecture);
    cr_expect_not(m.tied_head);
    mc_model_close(&m);
}

Test(hf_folder, takes_the_only_safetensors_file)
{
    scratch_put_model("d/adapter.safetensors", one, 1);
    scratch_put_model("d/._adapter.safetensors", none, 0);
    scratch_put_text("d/pytorch_model.bin", "x");
    mc_model m = scratch_open("d");
    expect_sources(&m, "d/adapter.safetensors weights");
    mc_model_close(&m);
}

Test(hf_folder, does_not_guess_among_several)
{
    scratch_put_model("d/b.safetensors", one, 1);
    scratch_put_model("d/a.safetensors", one, 1);
    scratch_refused(
        "d", MC_E_FORMAT,
        "d: holds 2 safetensors files (\"a.safetensors\", \"b.safetensors\") but neither "
        "model.safetensors nor model.safetensors.index.json: it is not clear which one is the "
        "model");
    scratch_put_model("d/d.safetensors", one, 1);
    scratch_put_model("d/c\n.safetensors", one, 1);
    scratch_refused(
        "d", MC_E_FORMAT,
        "d: holds 4 safetensors files (\"a.safetensors\", \"b.safetensors\", ...) but neither "
        "model.safetensors nor model.safetensors.index.json: it is not clear which one is the "
        "model");
}

Test(hf_folder, says_when_there_are_no_weights)
{
    scratch_put_text("d/config.json", "{}");
    scratch_refused("d", MC_E_FORMAT, "d: holds no safetensors file");
    scratch_put_text("d/pytorch_model.bin", "x");
    scratch_put_text("d/model.gguf", "x");
    scratch_refused(
        "d/", MC_E_UNSUPPORTED,
        "d: holds no safetensors file, and \"model.gguf\" is in a format that is not read: convert "
        "it to safetensors");
}

Test(hf_folder, prefers_one_file_to_an_index)
{
    scratch_put_model("d/model.safetensors", one, 1);
    scratch_put_text("d/model.safetensors.index.json", "broken");
    mc_model m = scratch_open("d");
    expect_sources(&m, "d/model.safetensors weights");
    cr_expect_str_eq(scratch_warnings(),
                     "d/model.safetensors.index.json: not used, model.safetensors is there\n");
    mc_model_close(&m);
}

Test(hf_folder, refuses_a_broken_config)
{
    scratch_put_model("d/model.safetensors", one, 1);
    scratch_put_text("d/config.json", "[]");
    scratch_refused("d", MC_E_FORMAT, "d/config.json: must be a JSON object");
    cr_assert_eq(truncate("d/config.json", 16777217), 0);
    scratch_refused("d", MC_E_FORMAT,
                    "d/config.json: file is 16777217 bytes long, at most 16777216 are allowed");

    scratch_put_text("d/config.json", "{\"architectures\":");
    mc_model m = {0};
    mc_err err = {0};
    cr_expect_eq(mc_model_open("d", NULL, &m, &err), MC_E_FORMAT);
    cr_expect_eq(strncmp(err.text, "d/config.json: ", 15), 0, "%s", err.text);
}

Test(hf_folder, ignores_fields_of_another_kind_in_the_config)
{
    scratch_put_model("d/model.safetensors", one, 1);
    scratch_put_text("d/config.json",
                     "{\"architectures\":{\"a\":\"x\"},\"tie_word_embeddings\":1}");
    mc_model m = scratch_open("d");
    cr_expect_null(m.architecture);
    cr_expect_not(m.tied_head);
    mc_model_close(&m);
}

/* ---- a file alone ---- */

Test(hf_folder, files_alone_use_what_lies_beside_them)
{
    scratch_put_model("d/x.safetensors", one, 1);
    scratch_put_model("d/model.safetensors", none, 0);
    scratch_put_text("d/config.json", "{\"architectures\":[\"A\"]}");
    scratch_put_text("d/tokenizer.json", "{}");
    mc_model m = scratch_open("d/x.safetensors");
    expect_sources(&m, "d/x.safetensors weights, d/config.json config, d/tokenizer.json tokenizer");
    cr_expect_str_eq(m.format, "safetensors");
    cr_expect_str_eq(m.architecture, "A");
    mc_model_close(&m);

    mc_err err = {0};
    cr_assert_eq(mc_model_open("d/x.safetensors", &hardened, &m, &err), MC_OK, "%s", err.text);
    expect_sources(&m, "d/x.safetensors weights");
    mc_model_close(&m);
}

/* ---- links ---- */

static void put_cache(void)
{
    scratch_put_model("hub/blobs/aaa", one, 1);
    scratch_put_text("hub/blobs/bbb", "{\"architectures\":[\"A\"]}");
    scratch_put_text("hub/blobs/config.json", "wrong");
    scratch_put_text("hub/snapshots/1/x", "");
    link_to("../../blobs/aaa", "hub/snapshots/1/model.safetensors");
    link_to("../../blobs/bbb", "hub/snapshots/1/config.json");
}

Test(hf_folder, follows_the_links_of_the_cache)
{
    put_cache();
    mc_model m = scratch_open("hub/snapshots/1");
    expect_sources(&m,
                   "hub/snapshots/1/model.safetensors weights, hub/snapshots/1/config.json config");
    mc_model_close(&m);
    m = scratch_open(
        "hub/snapshots/1/model.safetensors"); /* beside the name, not beside the blob */
    cr_expect_str_eq(m.architecture, "A");
    mc_model_close(&m);
    link_to("hub/snapshots/1", "d");
    m = scratch_open("d");
    cr_expect_eq(m.tensors, 1);
    mc_model_close(&m);
}

Test(hf_folder, refuses_links_when_told_to)
{
    put_cache();
    scratch_refused_with("hub/snapshots/1", &hardened, MC_E_USAGE,
                         "hub/snapshots/1/model.safetensors: is a symbolic link");
    scratch_refused_with("hub/snapshots/1/model.safetensors", &hardened, MC_E_USAGE,
                         "hub/snapshots/1/model.safetensors: is a symbolic link");
    scratch_put_model("e/model.safetensors", one, 1);
    link_to("e", "d");
    mc_model m;
    mc_err err = {0};
    cr_expect_eq(mc_model_open("d", &hardened, &m, &err), MC_OK, "%s", err.text);
    mc_model_close(&m);
    link_to("../hub/blobs/bbb", "e/config.json");
    scratch_refused_with("d", &hardened, MC_E_USAGE, "d/config.json: is a symbolic link");
}

Test(hf_folder, does_not_pass_over_a_link_that_leads_nowhere)
{
    scratch_put_model("d/model.safetensors", one, 1);
    link_to("../blobs/gone", "d/config.json");
    scratch_refused("d", MC_E_IO, "d/config.json: cannot open: No such file or directory");
}

/* ---- what is no model ---- */

Test(formats, that_are_not_known_are_shown)
{
    scratch_put("x", "", 0);
    scratch_refused(
        "x", MC_E_FORMAT,
        "x: not an ONNX or safetensors file, Hugging Face folder or archive of those (it is "
        "empty)");
    scratch_put_text("x", "GIF89a....");
    scratch_refused("x", MC_E_FORMAT,
                    "x: not an ONNX or safetensors file, Hugging Face folder or archive of those "
                    "(it begins with 47 49 46 38 39 61 2e 2e)");
}

Test(formats, that_are_known_but_not_read_get_advice)
{
    scratch_put_text("x", "GGUF\3");
    scratch_refused(
        "x", MC_E_UNSUPPORTED,
        "x: is a GGUF file, whose weights are packed already: give the safetensors model that it "
        "was made from");
    scratch_put_text("x", "\x80\2}q");
    scratch_refused("x", MC_E_UNSUPPORTED,
                    "x: is a pickle of PyTorch, which can run any code when it is read: "
                    "save it as safetensors");
    scratch_put_text("x", "\x89HDF\r\n\x1a\n");
    scratch_refused("x", MC_E_UNSUPPORTED, "x: is an HDF5 file: save its weights as safetensors");
    scratch_put_text("x", MCPK_MAGIC);
    scratch_refused("x", MC_E_UNSUPPORTED,
                    "x: is a container of mcompress: give the model that it was made from");
}

Test(formats, need_something_to_read)
{
    scratch_refused("gone", MC_E_IO, "gone: cannot open: No such file or directory");
    scratch_refused("gone/model.safetensors", MC_E_IO,
                    "gone/model.safetensors: cannot open: No such file or directory");
    cr_assert_eq(mkfifo("pipe.safetensors", 0600), 0);
    scratch_refused("pipe.safetensors", MC_E_USAGE, "pipe.safetensors: is not a regular file");
}

