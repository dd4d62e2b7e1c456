/* Open addressing with linear steps; the hash is FNV-1a. A table that is half full is doubled, the
 * old one stays in its arena. */
#include "core/names.h"

#include <string.h>

enum { LEAST = 16 };

static uint64_t hash_of(const char *name)
{
    uint64_t h = 14695981039346656037u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

/* The place of that name, or the free one where it belongs. */
static mc_named *place_of(const mc_names *names, const char *name)
{
    for (uint64_t at = hash_of(name);; at++) {
        mc_named *place = &names->place[at & (names->places - 1)];
        if (!place->name || strcmp(place->name, name) == 0) return place;
    }
}

static size_t places_for(size_t expected)
{
    size_t places = LEAST;
    while (places / 2 < expected && places <= SIZE_MAX / 2) places *= 2;
    return places;
}

mc_status mc_names_open(mc_names *names, size_t expected, mc_arena *mem, mc_err *err)
{
    *names = (mc_names){.places = places_for(expected)};
    names->place = MC_NEW(mem, mc_named, names->places);
    return names->place ? MC_OK : mc_no_room(err, "a table of names");
}

static mc_status grow(mc_names *names, mc_arena *mem, mc_err *err)
{
    mc_names larger;
    MC_TRY(mc_names_open(&larger, names->names + 1, mem, err));
    for (size_t i = 0; i < names->places; i++)
        if (names->place[i].name) *place_of(&larger, names->place[i].name) = names->place[i];
    larger.names = names->names;
    *names = larger;
    return MC_OK;
}

mc_status mc_names_put(mc_names *names, const char *name, uint32_t number, mc_arena *mem,
                       mc_err *err)
{
    if (place_of(names, name)->name) return MC_OK;
    if (names->names == names->places / 2) MC_TRY(grow(names, mem, err));
    *place_of(names, name) = (mc_named){name, number};
    names->names++;
    return MC_OK;
}

uint32_t mc_names_find(const mc_names *names, const char *name)
{
    const mc_named *place = place_of(names, name);
    return place->name ? place->number : MC_NO_NAME;
}
