/* The table of the HTML report: a row for every tensor, the worst first. The script of the page
 * sorts it by the numbers in data-v; without it the order stays. */
#include "verify/report_page.h"

#include <inttypes.h>
#include <math.h>

typedef struct {
    const char *title;
    const char *class;
    const char *hint;
} column;

static const column columns[] = {
    {"Tensor", "", "name and shape"},
    {"Stored as", "", "levels and weights that share a scale, or dtype"},
    {"SQNR, dB", "n", "10 log10 of weight energy over error energy"},
    {"Relative error", "n", "root of error energy over weight energy"},
    {"Max error", "n", "largest absolute error of a weight"},
    {"Cosine", "n m", "between source and decoded weights"},
    {"Clipped", "n", "weights beyond the range of their group"},
    {"Zeros", "n m", "weights that decode to zero"},
    {"Entropy", "n m", "of the codes, bits"},
    {"Bits per weight", "n", "scales, offsets and tables counted"},
    {"Bytes", "n", "in the container"},
};

static void begin_cell(mc_text *to, double value, const char *class)
{
    mc_text_addf(to, "<td class=\"%s\" data-v=\"", class);
    mc_text_add_fixed(to, value, 9); /* "inf" and "nan" the script knows */
    mc_text_add(to, "\">");
}

static void add_first(mc_text *to, const mc_tensor_report *t)
{
    mc_text_add(to, "<th scope=\"row\" class=\"name\">");
    mc_page_name(to, t->name);
    mc_text_add(to, "<small>");
    for (int d = 0; d < t->spec->ndim; d++)
        mc_text_addf(to, "%s%" PRIu64, d ? " × " : "", t->spec->dim[d]);
    if (t->spec->ndim == 0) mc_text_add(to, "scalar");
    if (t->kept_because) {
        mc_text_add(to, " · kept: ");
        mc_page_text(to, t->kept_because);
    }
    mc_text_add(to, "</small></th>");
}

static void add_stored_as(mc_text *to, const mc_tensor_report *t)
{
    begin_cell(to, mc_scheme_bits(t->spec), "");
    if (mc_out_is_quantized(t)) {
        mc_text_addf(to, "<i class=\"swatch %s\"></i>%s / ", mc_page_bits_class(t->spec),
                     t->spec->grid.levels->name);
        char group[MC_SCHEME_TEXT];
        mc_scheme_group(t->spec, group);
        mc_text_add(to, group);
    } else {
        mc_text_addf(to, "<i class=\"swatch none\"></i>%s", mc_dtype_about(t->spec->dtype)->name);
    }
    mc_text_add(to, "</td>");
}

static void add_errors(mc_text *to, const mc_tensor_report *t)
{
    begin_cell(to, t->sqnr_db, "n");
    if (t->sqnr_db == (double)INFINITY)
        mc_text_add(to, "exact");
    else
        mc_out_fixed_or_dash(to, t->sqnr_db, 2);
    mc_text_add(to, "</td>");
    begin_cell(to, t->relative_error, "n");
    mc_out_share(to, t->relative_error);
    mc_text_add(to, "</td>");
    begin_cell(to, t->max_abs_error, "n");
    if (t->max_abs_error > 0.0) {
        mc_text_addf(to, "<span title=\"at element %" PRIu64 "\">", t->max_abs_index);
        mc_out_real(to, t->max_abs_error);
        mc_text_add(to, "</span>");
    } else {
        mc_out_real_or_dash(to, t->max_abs_error);
    }
    mc_text_add(to, "</td>");
    begin_cell(to, t->cosine, "n m");
    mc_out_fixed_or_dash(to, t->cosine, 5);
    mc_text_add(to, "</td>");
}

static void add_codes(mc_text *to, const mc_tensor_report *t)
{
    const bool quantized = mc_out_is_quantized(t);
    begin_cell(to, t->clipped, "n");
    mc_out_share(to, quantized ? t->clipped : (double)NAN);
    mc_text_add(to, "</td>");
    begin_cell(to, t->zeros, "n m");
    mc_out_share(to, t->zeros);
    mc_text_add(to, "</td>");
    begin_cell(to, t->entropy_bits, "n m");
    if (quantized)
        mc_text_add_fixed(to, t->entropy_bits, 2);
    else
        mc_text_add(to, "–");
    mc_text_add(to, "</td>");
}

static void add_row(mc_text *to, const mc_tensor_report *t)
{
    mc_text_addf(to, "<tr%s>", mc_out_is_quantized(t) ? "" : " class=\"kept\"");
    add_first(to, t);
    add_stored_as(to, t);
    add_errors(to, t);
    add_codes(to, t);
    begin_cell(to, t->bits_per_weight, "n");
    mc_text_add_fixed(to, t->bits_per_weight, 2);
    mc_text_add(to, "</td>");
    begin_cell(to, (double)t->bytes, "n");
    mc_out_grouped(to, t->bytes);
    mc_text_add(to, "</td></tr>\n");
}

void mc_page_tensors(mc_text *to, const mc_report *report)
{
    if (report->tensors == 0) return;
    mc_text_add(
        to,
        "<section class=\"long\" aria-labelledby=\"tensors\">\n<h2 id=\"tensors\">All "
        "tensors</h2>\n"
        "<div class=\"wide flush\" tabindex=\"0\" role=\"region\" aria-labelledby=\"tensors\">\n"
        "<table class=\"tensors\">\n<thead><tr>");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        mc_text_addf(to, "<th scope=\"col\" class=\"%s\" title=\"%s\">%s</th>", columns[i].class,
                     columns[i].hint, columns[i].title);
    mc_text_add(to, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < report->tensors; i++)
        add_row(to, &report->tensor[report->worst_first[i]]);
    mc_text_add(to, "</tbody>\n</table>\n</div>\n</section>\n");
}
