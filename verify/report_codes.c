/* Code histograms of the HTML report: small drawings of the same form, one a tensor. */
#include "verify/report_page.h"

#include <math.h>

enum { MOST = 12, HEIGHT = 100 };

/* What a code stands for, as people write it: -8 of a symmetric int4, 15 of an asymmetric one, -1
 * of nf4. */
static void add_code(mc_text *to, const mc_grid *grid, unsigned code)
{
    const mc_levels *levels = grid->levels;
    int value = (int)code;
    if (levels->value) {
        const double level = (double)levels->value[code];
        mc_text_add_fixed(to, level, level == floor(level) ? 0 : 2);
        return;
    }
    if (grid->offset == MC_OFFSET_NONE) value -= 1 << (levels->bits - 1);
    if (value < 0)
        mc_text_addf(to, "−%d", -value);
    else
        mc_text_addf(to, "%d", value);
}

/* One path for all bars: a box of 1 x HEIGHT a code, stretched to the width of the page. */
static void add_bars(mc_text *to, const mc_tensor_report *t)
{
    const unsigned codes = mc_grid_codes(&t->spec->grid);
    const double gap = codes <= 32 ? 0.12 : 0.0;
    uint64_t most = 1;
    for (unsigned u = 0; u < codes; u++)
        if (t->histogram[u] > most) most = t->histogram[u];

    mc_text_addf(to, "<path class=\"%s\" d=\"", mc_page_bits_class(t->spec));
    for (unsigned u = 0; u < codes; u++) {
        if (t->histogram[u] == 0) continue;
        double height = HEIGHT * (double)t->histogram[u] / (double)most;
        if (height < 1.0) height = 1.0; /* a code in use can be seen */
        mc_text_add(to, "M");
        mc_text_add_fixed(to, u + gap / 2, 2);
        mc_text_addf(to, " %dV", HEIGHT);
        mc_text_add_fixed(to, HEIGHT - height, 1);
        mc_text_add(to, "h");
        mc_text_add_fixed(to, 1.0 - gap, 2);
        mc_text_addf(to, "V%dz", HEIGHT);
    }
    mc_text_add(to, "\"/>");
}

static void add_histogram(mc_text *to, const mc_tensor_report *t, size_t i)
{
    const unsigned codes = mc_grid_codes(&t->spec->grid);
    mc_text_add(to, "<figure><figcaption>");
    mc_page_name(to, t->name);
    mc_text_addf(
        to,
        "</figcaption>\n<svg viewBox=\"0 0 %u %d\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-labelledby=\"h%zu-t h%zu-d\"><title id=\"h%zu-t\">Codes of ",
        codes, HEIGHT, i, i, i);
    mc_page_text(to, t->name);
    mc_text_addf(to, "</title><desc id=\"h%zu-d\">%u codes, entropy ", i, codes);
    mc_text_add_fixed(to, t->entropy_bits, 2);
    mc_text_add(to, " bits.</desc>");
    add_bars(to, t);
    mc_text_add(to, "</svg>\n<p class=\"ends\"><span>");
    add_code(to, &t->spec->grid, 0);
    mc_text_add(to, "</span><span>");
    add_code(to, &t->spec->grid, codes - 1);
    mc_text_add(to, "</span></p>\n<p class=\"facts\"><span>entropy ");
    mc_text_add_fixed(to, t->entropy_bits, 2);
    mc_text_add(to, " of ");
    mc_out_bits_text(to, t->spec);
    mc_text_add(to, " bits</span><span>clipped ");
    mc_out_share(to, t->clipped);
    mc_text_add(to, "</span></p></figure>\n");
}

void mc_page_codes(mc_text *to, const mc_report *report)
{
    if (report->quantized == 0) return;
    const size_t shown = report->quantized < MOST ? report->quantized : MOST;
    mc_text_add(to, "<section aria-labelledby=\"codes\">\n<h2 id=\"codes\">Use of the "
                    "codes</h2>\n<p class=\"note\">");
    if (shown < report->quantized)
        mc_text_addf(to, "The %zu tensors with the lowest SQNR, of %zu. ", shown,
                     report->quantized);
    mc_text_add(to, "How often each code occurs; entropy near the number of bits means that none "
                    "is wasted.</p>\n"
                    "<div class=\"codes\">\n");
    for (size_t i = 0; i < shown; i++)
        add_histogram(to, &report->tensor[report->worst_first[i]], i);
    mc_text_add(to, "</div>\n</section>\n");
}
