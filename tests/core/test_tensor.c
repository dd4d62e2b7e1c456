/* Shapes as matrices, shapes as text, and finding things in a model. */
#include "core/model.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

static mc_tensor shaped(int ndim, const uint64_t *dim)
{
    mc_tensor t = {.ndim = ndim, .count = 1};
    for (int i = 0; i < ndim; i++) {
        t.dim[i] = dim[i];
        t.count *= dim[i];
    }
    return t;
}

#define SHAPED(...) \
    shaped((int)(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)), (uint64_t[]){__VA_ARGS__})

static void expect_matrix(mc_tensor t, bool is_matrix, uint64_t rows, uint64_t cols)
{
    uint64_t got_rows = 99, got_cols = 99;
    char text[128];
    mc_tensor_shape_text(&t, text, sizeof text);
    cr_expect_eq(mc_tensor_shape(&t, &got_rows, &got_cols), is_matrix, "%s", text);
    cr_expect(got_rows == rows && got_cols == cols, "%s is %zu x %zu, not %zu x %zu", text,
              (size_t)got_rows, (size_t)got_cols, (size_t)rows, (size_t)cols);
}

Test(tensor, fewer_than_two_dimensions_are_one_row)
{
    expect_matrix((mc_tensor){.count = 1}, false, 1, 1);
    expect_matrix(SHAPED(7), false, 1, 7);
    expect_matrix(SHAPED(0), false, 1, 0);
}

Test(tensor, two_dimensions_are_taken_as_they_are)
{
    expect_matrix(SHAPED(4096, 256), true, 4096, 256);
    expect_matrix(SHAPED(5, 1), true, 5, 1);
    expect_matrix(SHAPED(0, 3), true, 0, 3);
}

Test(tensor, a_convolution_has_a_row_for_each_output)
{
    expect_matrix(SHAPED(64, 3, 7, 7), true, 64, 147);
    expect_matrix(SHAPED(8, 4, 3, 3, 3), true, 8, 108);
    expect_matrix(SHAPED(32, 16, 15), true, 32, 240);
    expect_matrix(SHAPED(32, 1, 3), true, 32, 3);
}

Test(tensor, a_stack_of_matrices_keeps_its_last_dimension)
{
    expect_matrix(SHAPED(8, 128, 16), true, 1024, 16);
    expect_matrix(SHAPED(8, 128, 512), true, 1024, 512);
    expect_matrix(SHAPED(2, 2, 2, 2, 2, 6), true, 32, 6);
}

Test(tensor, an_empty_one_stays_empty_whatever_its_other_dimensions)
{
    const mc_tensor t = SHAPED(0, 1ull << 40, 1ull << 40, 3);
    uint64_t rows, cols;
    cr_expect(mc_tensor_shape(&t, &rows, &cols));
    cr_expect_eq(rows * cols, 0);
}

Test(tensor, shapes_are_written_in_brackets)
{
    char text[64];
    mc_tensor t = SHAPED(4096, 256);
    mc_tensor_shape_text(&t, text, sizeof text);
    cr_expect_str_eq(text, "[4096, 256]");
    t = SHAPED(18446744073709551615u);
    mc_tensor_shape_text(&t, text, sizeof text);
    cr_expect_str_eq(text, "[18446744073709551615]");
    t = (mc_tensor){.count = 1};
    mc_tensor_shape_text(&t, text, sizeof text);
    cr_expect_str_eq(text, "[]");
}

Test(tensor, a_shape_without_room_is_cut)
{
    const mc_tensor t = SHAPED(4096, 256);
    for (size_t room = 1; room < 20; room++) {
        char text[20];
        memset(text, '#', sizeof text);
        mc_tensor_shape_text(&t, text, room);
        cr_expect_eq(strncmp(text, "[4096, 256]", room - 1), 0);
        cr_expect_eq(strlen(text), room - 1 < 11 ? room - 1 : 11);
    }
}

Test(model, finds_tensors_by_name)
{
    static mc_tensor tensor[] = {{.name = "A"}, {.name = "a"}, {.name = "a.b"}, {.name = "ab"}};
    mc_model model = {.tensor = tensor, .tensors = 4};
    for (; model.tensors > 0; model.tensors--) {
        for (size_t i = 0; i < 4; i++)
            cr_expect_eq(mc_model_find(&model, tensor[i].name),
                         i < model.tensors ? &tensor[i] : NULL);
        cr_expect_null(mc_model_find(&model, ""));
        cr_expect_null(mc_model_find(&model, "a.a"));
        cr_expect_null(mc_model_find(&model, "b"));
    }
    cr_expect_null(mc_model_find(&model, "a"));
}

Test(model, finds_the_first_source_of_a_role)
{
    static mc_source source[] = {{.role = "weights"}, {.role = "weights"}, {.role = "config"}};
    const mc_model model = {.source = source, .sources = 3};
    cr_expect_eq(mc_model_source(&model, "weights"), &source[0]);
    cr_expect_eq(mc_model_source(&model, "config"), &source[2]);
    cr_expect_null(mc_model_source(&model, "index"));
}

Test(model, closes_when_it_is_zero_and_when_it_owns_itself)
{
    mc_model model = {0};
    mc_model_close(&model);

    mc_err err = {0};
    cr_assert_eq(mc_region_open(&model.memory, 4096, &err), MC_OK, "%s", err.text);
    model.source = MC_NEW(&model.memory.arena, mc_source, 2);
    model.sources = 2;
    void *base = model.memory.base;
    mc_model_close(&model);
    cr_expect_null(model.source);
    cr_expect_null(model.memory.base);
    cr_expect_eq(msync(base, 1, MS_ASYNC), -1, "the memory is still there");
}
