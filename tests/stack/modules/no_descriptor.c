/* no_descriptor: a shared object, and no module. */
__attribute__((visibility("default"))) extern const int catlatch_modul;
const int catlatch_modul = 1;
