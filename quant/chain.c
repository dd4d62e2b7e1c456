/* Reading chains: one family of names over methods, transforms and corrections. */
#include "quant/chain.h"

#include <string.h>

static const mc_correction corrections[] = {
#define X(name_, wants_, before_, summary_, needs_, cost_, paper_) \
    {#name_, summary_, needs_, cost_, paper_, wants_, before_},
    MC_CORRECTIONS(X)
#undef X
};

const mc_correction *mc_correction_at(size_t i)
{
    return i < MC_CORRECTION_COUNT ? &corrections[i] : NULL;
}

/* ---- all names ---- */

/* What stands at place i of all links. */
typedef struct {
    const mc_quant_method *method;
    const mc_transform *transform;
    const mc_correction *correction;
    size_t at; /* within its own list */
} chain_link;

static bool link_at(size_t i, chain_link *out)
{
    *out = (chain_link){.method = NULL};
    size_t at = 0;
    for (; mc_quant_at(at); at++)
        if (i-- == 0) return out->method = mc_quant_at(at), true;
    for (at = 0; mc_transform_at(at); at++)
        if (i-- == 0) return out->transform = mc_transform_at(at), true;
    out->at = i;
    return (out->correction = mc_correction_at(i)) != NULL;
}

static const mc_setup_param no_params[MC_SETUP_PARAMS];

static bool member_at(size_t i, mc_setup_member *member)
{
    chain_link l;
    if (!link_at(i, &l)) return false;
    if (l.method)
        *member = (mc_setup_member){l.method->name, l.method->params};
    else if (l.transform)
        *member = (mc_setup_member){l.transform->name, l.transform->params};
    else
        *member = (mc_setup_member){l.correction->name, no_params};
    return true;
}

static const mc_setup_family family = {"method", member_at};

const char *mc_chain_name_at(size_t i)
{
    mc_setup_member member;
    return member_at(i, &member) ? member.name : NULL;
}

/* ---- the order of links ---- */

static mc_status add_method(mc_chain *chain, const mc_quant_method *method, const mc_setup *setup,
                            mc_err *err)
{
    if (chain->rounding.method)
        return mc_fail(err, MC_E_USAGE, "%s and %s both choose codes; a chain has one such method",
                       chain->rounding.method->name, method->name);
    for (size_t i = 0; i < MC_CORRECTION_COUNT; i++)
        if (chain->correct[i] && !corrections[i].before)
            return mc_fail(err, MC_E_USAGE, "%s comes after codes were chosen, behind %s",
                           corrections[i].name, method->name);
    chain->rounding.method = method;
    memcpy(chain->rounding.param, setup->param, sizeof chain->rounding.param);
    return MC_OK;
}

static mc_status check_pair(const mc_transform *a, const mc_transform *b, mc_err *err)
{
    if (a == b) return mc_fail(err, MC_E_USAGE, "%s is named twice", a->name);
    if (a->scales_norms && b->scales_norms)
        return mc_fail(err, MC_E_USAGE, "%s and %s both scale what norms give; take one", a->name,
                       b->name);
    const bool clash = (a->rotates && b->scales_norms) || (a->scales_norms && b->rotates);
    if (clash)
        return mc_fail(err, MC_E_USAGE,
                       "%s and %s exclude each other: behind a rotation a norm has no channels of "
                       "its own to be scaled",
                       a->name, b->name);
    return MC_OK;
}

static mc_status add_transform(mc_chain *chain, const mc_transform *transform,
                               const mc_setup *setup, mc_err *err)
{
    if (chain->rounding.method)
        return mc_fail(err, MC_E_USAGE, "%s is a transform and stands in front of %s",
                       transform->name, chain->rounding.method->name);
    for (size_t i = 0; i < MC_CORRECTION_COUNT; i++)
        if (chain->correct[i])
            return mc_fail(err, MC_E_USAGE, "%s is a transform and stands in front of %s",
                           transform->name, corrections[i].name);
    for (size_t i = 0; i < chain->transforms; i++)
        MC_TRY(check_pair(chain->transform[i].transform, transform, err));
    if (chain->transforms == MC_CHAIN_TRANSFORMS)
        return mc_fail(err, MC_E_USAGE, "%s: at most %d transforms", transform->name,
                       MC_CHAIN_TRANSFORMS);
    mc_chain_transform *t = &chain->transform[chain->transforms++];
    *t = (mc_chain_transform){.transform = transform};
    memcpy(t->setup.param, setup->param, sizeof t->setup.param);
    return MC_OK;
}

static mc_status add_correction(mc_chain *chain, const mc_correction *correction, size_t at,
                                mc_err *err)
{
    if (chain->correct[at]) return mc_fail(err, MC_E_USAGE, "%s is named twice", correction->name);
    if (correction->before && chain->rounding.method)
        return mc_fail(err, MC_E_USAGE, "%s comes before codes are chosen, in front of %s",
                       correction->name, chain->rounding.method->name);
    chain->correct[at] = true;
    return MC_OK;
}

static mc_status add_link(mc_chain *chain, const char *text, size_t length, mc_err *err)
{
    mc_setup setup;
    chain_link l;
    MC_TRY(mc_setup_parse(&family, text, length, &setup, err));
    if (!link_at(setup.member, &l)) return mc_fail(err, MC_E_INTERNAL, "a link that is not there");
    if (l.method) return add_method(chain, l.method, &setup, err);
    if (l.transform) return add_transform(chain, l.transform, &setup, err);
    return add_correction(chain, l.correction, l.at, err);
}

mc_status mc_chain_parse(const char *text, mc_chain *out, mc_err *err)
{
    *out = (mc_chain){.transforms = 0};
    for (const char *at = text;;) {
        const char *plus = strchr(at, '+');
        const size_t length = plus ? (size_t)(plus - at) : strlen(at);
        MC_TRY(add_link(out, at, length, err));
        if (!plus) return MC_OK;
        at = plus + 1;
    }
}

/* ---- what it needs ---- */

unsigned mc_chain_wants(const mc_chain *chain)
{
    unsigned wants = chain->rounding.method ? chain->rounding.method->wants : 0;
    for (size_t i = 0; i < MC_CORRECTION_COUNT; i++)
        if (chain->correct[i]) wants |= corrections[i].wants;
    return wants;
}

bool mc_chain_wants_data(const mc_chain *chain)
{
    bool wants = mc_chain_wants(chain) != 0;
    for (size_t i = 0; i < MC_CORRECTION_COUNT; i++) wants |= chain->correct[i];
    for (size_t i = 0; i < chain->transforms; i++)
        wants |= chain->transform[i].transform->group != NULL;
    return wants;
}

const char *mc_auto_chain(double bits, bool data, bool norms_of_batches)
{
    if (!data || bits < 2.0) return mc_quant_usual(bits)->name;
    return norms_of_batches ? "batchnorm+compensate+gptq:rounds=3" : "compensate+gptq:rounds=3";
}
