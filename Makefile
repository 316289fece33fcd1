# Catlatch. `make help` lists what can be made; README.md tells what for.
#
#   make            build the daemon, the library and the tools into build/
#   make deps       install what is missing (Debian, Ubuntu: apt, with sudo where not root)
#   make demo       see it work: a private daemon, workers, a revoke (calls deps)
#   make check      every test, in under ten minutes (calls deps)
#   make check-long the full counts of the long tests
#   make sanitize   the suite under ASan and UBSan (races under TSan are in check)
#   make lint       warnings as errors with gcc and clang, clang-tidy, cppcheck, include directions
#   make bench      the figures that the README quotes
#   make fuzz       the fuzzers, for FUZZ_SECONDS each
#   make install    PREFIX=/usr/local DESTDIR=, and make uninstall
#   make deb        Debian packages, in build/deb
#   make clean

VERSION := 0.1.0
SOVERSION := 0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MODULEDIR ?= $(LIBDIR)/catlatch
PAMDIR ?= $(LIBDIR)/security
NGINXDIR ?= $(LIBDIR)/nginx/modules
APACHEDIR ?= $(LIBDIR)/apache2/modules
PYTHONDIR ?= $(PREFIX)/lib/python3/dist-packages
PHPDIR ?= $(LIBDIR)/php/$(PHP_API)
NODEDIR ?= $(LIBDIR)/node_modules/catlatch
DOCDIR ?= $(PREFIX)/share/doc/catlatch
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
LOCALSTATEDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/var,$(PREFIX)/var)
RUNSTATEDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/run,$(PREFIX)/var/run)
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d

BUILD ?= build
CC ?= cc
OPT ?= -O2 -g
WERROR ?= $(if $(CI),-Werror)
SANITIZE ?=
FUZZ_SECONDS ?= 60

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wvla -Wundef -Wwrite-strings
HARDEN := -fstack-protector-strong $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
# OpenSSL's low-level SHA-256 is meant: see src/core/digest.h.
DEFINES := -D_GNU_SOURCE -DOPENSSL_API_COMPAT=0x10100000L -DCATLATCH_VERSION='"$(VERSION)"' \
	-DCATLATCH_SYSCONFDIR='"$(SYSCONFDIR)"' -DCATLATCH_LOCALSTATEDIR='"$(LOCALSTATEDIR)"' \
	-DCATLATCH_RUNSTATEDIR='"$(RUNSTATEDIR)"' -DCATLATCH_MODULEDIR='"$(MODULEDIR)"'
SANFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS := -std=gnu11 $(OPT) $(WARNINGS) $(WERROR) $(HARDEN) $(SANFLAGS) -fPIC \
	-fvisibility=hidden $(DEFINES) -I. -Isrc -Isrc/include -MMD -MP $(CFLAGS)
ALL_LDFLAGS := $(SANFLAGS) -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

LIB_LIBS := -lcrypto -linih
DAEMON_LIBS := -luv -ldb $(LIB_LIBS) -lpthread
TOOL_LIBS := -lhiredis -ljansson -lsmartcols -lncursesw -ltinfo $(LIB_LIBS) -lpthread

comma := ,
objects = $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard $(1))))
SHARED_OBJ := $(call objects,src/core/*.c src/table/*.c src/usage/*.c src/stack/*.c)
# Workers neither make keys nor write tables nor sweep usage, keep its roll or try services out.
LIB_OBJ := $(filter-out %/keygen.o %/table/format.o %/writer.o %/usage/sweep.o %/usage/roll.o %/stack/check.o,$(SHARED_OBJ)) $(call objects,src/lib/*.c)
DAEMON_OBJ := $(filter-out %/main.o,$(call objects,src/daemon/*.c))
KEEPER_OBJ := $(filter-out %/main.o,$(call objects,src/keeper/*.c))
TOOL_OBJ := $(filter-out %/main.o,$(call objects,tools/catlatch/*.c))
INTERNAL := $(BUILD)/internal.a

# What verifies keys is optimised as one: up to a fifth less time for a verification, by alternating
# runs of catlatch-bench. gcc alone, for its objects and clang's do not mix; not for the sanitizers.
LTO := $(if $(SANITIZE),,$(if $(findstring clang,$(CC)),,-flto=auto))
optimised = $(if $(LTO),$(patsubst $(BUILD)/%,$(BUILD)/lto/%,$(1)),$(1))

LIBRARY := $(BUILD)/libcatlatch.so.$(VERSION)
MODULES := $(patsubst plugin/%.c,$(BUILD)/modules/%.so,$(sort $(wildcard plugin/*.c)))
PAM_MODULE := $(BUILD)/pam_catlatch.so
# Where nginx's headers and configure are, as Debian's nginx-dev has them; without them there is no
# module for it.
NGINX_SRC ?= /usr/share/nginx/src
NGINX_MODULE := $(if $(wildcard $(NGINX_SRC)/conf_flags),$(BUILD)/ngx_http_catlatch_module.so)
# Who tells how Apache's modules are compiled, as Debian's apache2-dev has it; without it there is no
# module either.
APXS ?= $(shell command -v apxs)
APACHE_MODULE := $(if $(APXS),$(BUILD)/mod_catlatch.so)
# Which PHP the extension is for: its php-config, as Debian's php-dev has it, tells where headers are
# and which interface they are of. Without it there is no extension.
PHP_CONFIG ?= php-config
PHP_INCLUDES := $(if $(PHP_CONFIG),$(patsubst -I%,-isystem %,$(shell $(PHP_CONFIG) --includes 2>/dev/null)))
PHP_API := $(if $(PHP_INCLUDES),$(notdir $(shell $(PHP_CONFIG) --extension-dir)))
PHP_EXTENSION := $(if $(PHP_INCLUDES),$(BUILD)/php/catlatch.so)
# Node's headers, as they come with it or with Debian's libnode-dev; without them there is no package
# for it.
NODE_INCLUDE ?= /usr/include/node
NODE_INCLUDES := $(if $(wildcard $(NODE_INCLUDE)/node_api.h),-isystem $(NODE_INCLUDE))
NODE_PACKAGE := $(if $(NODE_INCLUDES),$(addprefix $(BUILD)/node/,catlatch.node index.js index.d.ts package.json))
PROGRAMS := $(BUILD)/catlatchd $(BUILD)/catlatch-keeper $(BUILD)/catlatch $(BUILD)/catlatch-bench

UNIT_TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c \
	tests/race/test_*.c tests/crash/test_*.c tests/stack/test_*.c tests/system/test_*.c)))
# Programs that tests start: helpers with a main of their own.
TEST_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(filter-out \
	$(wildcard tests/*/test_*.c tests/*/lib_*.c tests/fuzz/*.c),$(wildcard tests/*/*.c))))
# Modules that tests load; they find the record of their calls in the test program.
TEST_MODULES := $(patsubst tests/stack/modules/%.c,$(BUILD)/tests/modules/%.so,\
	$(sort $(wildcard tests/stack/modules/*.c)))
STACK_TESTS := $(filter $(BUILD)/tests/stack/%,$(UNIT_TESTS))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

.PHONY: FORCE all deps demo check check-long tests sanitize lint bench fuzz install uninstall deb \
	clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(MODULES) $(PAM_MODULE) $(NGINX_MODULE) $(APACHE_MODULE) $(PHP_EXTENSION) $(NODE_PACKAGE) $(LIBRARY) $(BUILD)/libcatlatch.so $(BUILD)/catlatch.pc

FORCE:

help:
	@sed -n '3,17s/^#  *//p' Makefile

deps:
	@tools/deps

# As many at once as there are processors, but where the caller said how many.
QUIETLY = --no-print-directory -s $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# What the objects were made with: another PREFIX or compiler makes them anew.
FLAGS := $(CC) $(OPT) $(SANFLAGS) $(DEFINES) $(CFLAGS) $(BINDIR) $(SBINDIR) $(LIBDIR) $(INCLUDEDIR) $(PAMDIR) $(NGINXDIR) $(APACHEDIR) $(PHPDIR) $(NODEDIR)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(FLAGS))' > $@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/tests/%.o: ALL_CFLAGS += -DTEST_MODULES='"$(abspath $(BUILD))/modules"'

$(BUILD)/lto/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LTO) -c $< -o $@

$(INTERNAL): $(SHARED_OBJ) $(call objects,src/lib/*.c plugin/http/*.c) $(DAEMON_OBJ) $(KEEPER_OBJ) $(TOOL_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(LIBRARY): $(call optimised,$(LIB_OBJ)) src/lib/libcatlatch.map
	$(CC) -shared $(OPT) $(LTO) $(ALL_LDFLAGS) -Wl,-soname,libcatlatch.so.$(SOVERSION) \
		-Wl,--version-script,src/lib/libcatlatch.map -Wl,-z,defs -Wl,-z,nodelete -o $@ \
		$(call optimised,$(LIB_OBJ)) $(LIB_LIBS)

$(BUILD)/core.a: $(call objects,src/core/*.c)
	@rm -f $@
	$(AR) rcs $@ $^

# What modules of servers have in common.
$(BUILD)/http.a: $(call objects,plugin/http/*.c)
	@rm -f $@
	$(AR) rcs $@ $^

# A module of a server, which has what it lacks. Where the library is found by where it is installed,
# and not by the system's folders, that is said.
RPATH := $(if $(filter-out /usr,$(PREFIX)),-Wl$(comma)--enable-new-dtags$(comma)-rpath$(comma)$(LIBDIR))
IN_SERVER = $(CC) -shared $(ALL_LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $(filter %.o %.a,$^) -L$(BUILD) \
	-lcatlatch -lcrypto $(RPATH)
IN_SERVER_WITH := $(BUILD)/http.a $(BUILD)/core.a $(BUILD)/libcatlatch.so

# Modules need nothing of the library: what the host does for them comes with the call.
$(BUILD)/modules/%.so: $(BUILD)/plugin/%.o $(BUILD)/core.a
	@mkdir -p $(@D)
	$(CC) -shared $(ALL_LDFLAGS) -Wl,-z,defs -Wl,--exclude-libs,ALL -o $@ $^ $(LIB_LIBS)

# It stays in a program that has loaded it once, and the library with it, which knows what else it
# has loaded.
$(PAM_MODULE): $(call objects,plugin/pam/*.c) $(BUILD)/core.a $(BUILD)/libcatlatch.so
	$(CC) -shared $(ALL_LDFLAGS) -Wl,-z,defs,-z,nodelete -Wl,--exclude-libs,ALL -o $@ \
		$(filter %.o %.a,$^) -L$(BUILD) -lcatlatch -lpam $(LIB_LIBS) $(RPATH)

# How the nginx that is here was built: nothing of it is compiled, but its headers want to know.
NGINX := $(abspath $(BUILD))/nginx
NGINX_INCLUDES := $(addprefix -isystem $(NGINX_SRC)/src/,core event event/modules os/unix http \
	http/modules http/v2) -isystem $(NGINX)
$(NGINX)/ngx_auto_config.h: plugin/nginx/config $(wildcard $(NGINX_SRC)/src/core/nginx.h)
	@mkdir -p $(NGINX)
	cd $(NGINX_SRC) && bash -c '. ./conf_flags && ./configure "$${NGX_CONF_FLAGS[@]}" \
		--with-cc-opt=-fPIC --add-dynamic-module=$(abspath plugin/nginx) \
		--builddir=$(NGINX)' > $(NGINX)/configure.log 2>&1 || { tail $(NGINX)/configure.log; exit 1; }

# What directives say of a mistake is a char * there.
$(BUILD)/plugin/nginx/%.o: ALL_CFLAGS += $(NGINX_INCLUDES) -Wno-write-strings
$(call objects,plugin/nginx/*.c): $(NGINX)/ngx_auto_config.h

# Which modules there are, and where among nginx's own they come: its configure wrote that.
$(BUILD)/plugin/nginx/modules.o: $(NGINX)/ngx_auto_config.h
	@mkdir -p $(@D)
	$(CC) $(OPT) -fPIC $(NGINX_INCLUDES) -c $(NGINX)/ngx_http_catlatch_module_modules.c -o $@

$(BUILD)/ngx_http_catlatch_module.so: $(call objects,plugin/nginx/*.c) $(BUILD)/plugin/nginx/modules.o \
		$(IN_SERVER_WITH)
	$(IN_SERVER)

# As nginx's: its headers are asked for by what it says of itself.
APACHE_FLAGS := $(abspath $(BUILD))/apache/flags
$(APACHE_FLAGS): $(wildcard $(APXS)) $(BUILD)/flags
	@mkdir -p $(@D)
	{ $(APXS) -q EXTRA_CPPFLAGS && echo "-isystem $$($(APXS) -q INCLUDEDIR)" && \
		$$($(APXS) -q APR_CONFIG) --includes | sed 's/-I/-isystem /g'; } > $@

$(BUILD)/plugin/apache/%.o: ALL_CFLAGS += @$(APACHE_FLAGS)
$(call objects,plugin/apache/*.c): $(APACHE_FLAGS)

$(BUILD)/mod_catlatch.so: $(call objects,plugin/apache/*.c) $(IN_SERVER_WITH)
	$(IN_SERVER)

$(BUILD)/plugin/php/%.o: ALL_CFLAGS += $(PHP_INCLUDES)

$(BUILD)/php/catlatch.so: $(call objects,plugin/php/*.c) $(IN_SERVER_WITH)
	@mkdir -p $(@D)
	$(IN_SERVER)

$(BUILD)/plugin/node/%.o: ALL_CFLAGS += $(NODE_INCLUDES)

$(BUILD)/node/catlatch.node: $(call objects,plugin/node/*.c) $(IN_SERVER_WITH)
	@mkdir -p $(@D)
	$(IN_SERVER)

$(BUILD)/node/%: plugin/node/%
	@mkdir -p $(@D)
	cp $< $@

$(BUILD)/libcatlatch.so: $(LIBRARY)
	ln -sf $(notdir $<) $(BUILD)/libcatlatch.so.$(SOVERSION)
	ln -sf libcatlatch.so.$(SOVERSION) $@

$(BUILD)/catlatch.pc: src/lib/catlatch.pc.in Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@MODULEDIR@|$(MODULEDIR)|;s|@VERSION@|$(VERSION)|' $< > $@

$(BUILD)/catlatchd: $(BUILD)/src/daemon/main.o $(DAEMON_OBJ) $(SHARED_OBJ)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

# Of the daemon it has what any program of its user needs, and no library of it.
$(BUILD)/catlatch-keeper: $(BUILD)/src/keeper/main.o $(KEEPER_OBJ) $(call objects,src/usage/*.c) \
		$(patsubst %,$(BUILD)/src/daemon/%.o,lock log notify privilege) $(BUILD)/core.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)

# `verify --explain` decides in the tool; what workers load as a library is part of it.
$(BUILD)/catlatch: $(BUILD)/tools/catlatch/main.o $(TOOL_OBJ) $(SHARED_OBJ) $(call objects,src/lib/*.c)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TOOL_LIBS)

$(BUILD)/catlatch-bench: $(call optimised,$(call objects,tools/catlatch-bench/*.c src/lib/*.c) $(SHARED_OBJ))
	$(CC) $(OPT) $(LTO) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)

# Applications as any other: they see the public header and the shared library.
APPLICATIONS := $(BUILD)/tests/system/demo_worker $(BUILD)/tests/system/verify_lines
$(APPLICATIONS): %: %.o $(BUILD)/libcatlatch.so
	$(CC) $(ALL_LDFLAGS) -o $@ $< -L$(BUILD) -lcatlatch -Wl,-rpath,$(abspath $(BUILD))

# So is this one, for libpam.
$(BUILD)/tests/system/pam_login: $(BUILD)/tests/system/pam_login.o
	$(CC) $(ALL_LDFLAGS) -o $@ $< -lpam -lpam_misc

$(BUILD)/tests/lib.a: $(call objects,tests/*/lib_*.c)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/tests/lib.a $(INTERNAL)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/tests/lib.a $(INTERNAL) -lcmocka $(TEST_LIBS) \
		$(TOOL_LIBS) $(DAEMON_LIBS)

$(STACK_TESTS): private ALL_LDFLAGS += -rdynamic
$(STACK_TESTS): | $(TEST_MODULES)
$(BUILD)/tests/stack/test_differential: private TEST_LIBS := -lpam

$(BUILD)/tests/modules/%.so: $(BUILD)/tests/stack/modules/%.o $(BUILD)/core.a
	@mkdir -p $(@D)
	$(CC) -shared $(ALL_LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $^ $(LIB_LIBS)

# What fuzzers reach, built once for all of them; each links what it needs of it.
FUZZED_OBJ := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(sort $(filter-out src/daemon/main.c, \
	$(wildcard src/core/*.c src/table/*.c src/usage/*.c src/stack/*.c src/daemon/*.c))) \
	$(addprefix tools/catlatch/,export_line.c guard.c import_field.c import_identity.c \
	import_line.c import_sets.c import_state.c import_usage.c json_arena.c value.c) \
	$(wildcard tests/fuzz/lib_*.c))
FUZZ_CC := clang -std=gnu11 -g -O1 $(DEFINES) -Isrc -Isrc/include

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -MMD -MP -c $< -o $@

$(BUILD)/fuzz/fuzzed.a: $(FUZZED_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/fuzz/fuzzed.a
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -MMD -MP -MF $@.d -MT $@ \
		-o $@ $< $(BUILD)/fuzz/fuzzed.a $(TOOL_LIBS) $(DAEMON_LIBS)

# The table and the usage area under ThreadSanitizer, without what they do not need.
RACE_SOURCES := tests/race/test_table_race.c tests/unit/lib_table.c \
	$(sort $(wildcard src/core/*.c src/table/*.c))
$(BUILD)/tsan/test_table_race: $(RACE_SOURCES) $(wildcard src/*/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -fsanitize=thread $(DEFINES) -Isrc -Isrc/include \
		-o $@ $(RACE_SOURCES) -lcmocka $(LIB_LIBS)

RACED_SOURCES := tests/unit/lib_usage.c tests/unit/lib_table.c \
	$(sort $(wildcard src/core/*.c src/table/*.c src/usage/*.c))
$(addprefix $(BUILD)/tsan/,test_usage_race test_limit_race test_process_race): $(BUILD)/tsan/%: tests/race/%.c \
		$(RACED_SOURCES) $(wildcard src/*/*.h tests/unit/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -fsanitize=thread $(DEFINES) -Isrc -Isrc/include \
		-o $@ $< $(RACED_SOURCES) -lcmocka $(LIB_LIBS)

tests: all $(UNIT_TESTS) $(TEST_PROGRAMS) $(TEST_MODULES) $(FUZZERS) \
	$(addprefix $(BUILD)/tsan/,test_table_race test_usage_race test_limit_race test_process_race)

demo: deps
	@$(MAKE) $(QUIETLY) all tests
	@tests/demo $(BUILD)

check: deps
	@$(MAKE) $(QUIETLY) tests
	@tests/run $(BUILD)

check-long: deps
	@$(MAKE) $(QUIETLY) tests
	@CATLATCH_LONG=1 tests/run $(BUILD)

sanitize: deps
	@$(MAKE) $(QUIETLY) tests BUILD=build/asan SANITIZE=address,undefined OPT="-O1 -g"
	@tests/run build/asan

lint: deps
	@tests/lint

bench: deps
	@$(MAKE) $(QUIETLY) all
	@tests/bench/run $(BUILD)
	@tests/bench/daemon $(BUILD)
	@tests/bench/import $(BUILD)
	@tests/bench/suspend $(BUILD)
	@tests/bench/nginx $(BUILD)

fuzz: deps
	@$(MAKE) $(QUIETLY) $(FUZZERS)
	@for f in $(FUZZERS); do mkdir -p $$f.corpus; \
		$$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 $$f.corpus || exit 1; done

# What is installed beside programs: made of etc/ for these folders, completions by the tool itself.
FOLDERS := sed -e 's|@BINDIR@|$(BINDIR)|g;s|@SBINDIR@|$(SBINDIR)|g;s|@SYSCONFDIR@|$(SYSCONFDIR)|g' \
	-e 's|@LOCALSTATEDIR@|$(LOCALSTATEDIR)|g;s|@RUNSTATEDIR@|$(RUNSTATEDIR)|g;s|@PAMDIR@|$(PAMDIR)|g' \
	-e 's|@NGINXDIR@|$(NGINXDIR)|g;s|@APACHEDIR@|$(APACHEDIR)|g;s|@PHPDIR@|$(PHPDIR)|g' \
	-e 's|@MODULEDIR@|$(MODULEDIR)|g'
# Users, units and the like are the whole system's; a prefix of one's own has none.
SYSTEM := $(filter /run,$(RUNSTATEDIR))

$(BUILD)/etc/%: etc/% Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	$(FOLDERS) $< > $@

$(BUILD)/etc/man/%: etc/man/%.scd etc/man/page.awk Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	$(FOLDERS) $< | SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(stat -c %Y $<)} scdoc > $@.scdoc
	awk -f etc/man/page.awk $@.scdoc > $@

$(BUILD)/completion.%: $(BUILD)/catlatch
	$< completion $* > $@

# The daemon's user is named, for by it workers know whose table to believe.
$(BUILD)/etc/catlatch.ini: etc/catlatch.ini Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	sed -e 's|= /var/lib/|= $(LOCALSTATEDIR)/lib/|;s|= /run/|= $(RUNSTATEDIR)/|' \
		-e 's|^;module_dir = .*|;module_dir = $(MODULEDIR)|' \
		$(if $(SYSTEM),-e 's|^;user =$$|user = catlatch|') $< > $@

PYTHON := $(sort $(wildcard plugin/python/catlatch/*.py)) plugin/python/catlatch/py.typed

# mode:source:target
INSTALLED := \
	755:$(BUILD)/catlatchd:$(SBINDIR)/catlatchd \
	755:$(BUILD)/catlatch-keeper:$(SBINDIR)/catlatch-keeper \
	755:$(BUILD)/catlatch:$(BINDIR)/catlatch \
	755:$(BUILD)/catlatch-bench:$(BINDIR)/catlatch-bench \
	644:$(LIBRARY):$(LIBDIR)/$(notdir $(LIBRARY)) \
	644:$(BUILD)/catlatch.pc:$(LIBDIR)/pkgconfig/catlatch.pc \
	644:src/include/catlatch.h:$(INCLUDEDIR)/catlatch.h \
	644:src/include/catlatch_module.h:$(INCLUDEDIR)/catlatch_module.h \
	644:$(PAM_MODULE):$(PAMDIR)/pam_catlatch.so \
	$(if $(NGINX_MODULE),644:$(NGINX_MODULE):$(NGINXDIR)/$(notdir $(NGINX_MODULE)) \
		644:$(BUILD)/etc/nginx.conf:$(DOCDIR)/nginx.conf) \
	$(if $(APACHE_MODULE),644:$(APACHE_MODULE):$(APACHEDIR)/$(notdir $(APACHE_MODULE)) \
		644:$(BUILD)/etc/apache.conf:$(DOCDIR)/apache.conf \
		644:$(BUILD)/etc/catlatch.load:$(DOCDIR)/catlatch.load) \
	$(if $(PHP_EXTENSION),644:$(PHP_EXTENSION):$(PHPDIR)/$(notdir $(PHP_EXTENSION)) \
		644:$(BUILD)/etc/php.ini:$(DOCDIR)/php.ini \
		644:plugin/php/catlatch.stub.php:$(DOCDIR)/catlatch.stub.php) \
	$(foreach file,$(NODE_PACKAGE),644:$(file):$(NODEDIR)/$(notdir $(file))) \
	$(foreach module,$(MODULES),644:$(module):$(MODULEDIR)/$(notdir $(module))) \
	$(foreach file,$(PYTHON),644:$(file):$(PYTHONDIR)/$(patsubst plugin/python/%,%,$(file))) \
	644:$(BUILD)/completion.bash:$(BASHDIR)/catlatch \
	644:$(BUILD)/completion.zsh:$(ZSHDIR)/_catlatch \
	644:$(BUILD)/completion.fish:$(FISHDIR)/catlatch.fish \
	$(foreach page,$(sort $(notdir $(basename $(wildcard etc/man/*.scd)))),\
		644:$(BUILD)/etc/man/$(page):$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(page))
SYSTEM_INSTALLED := \
	$(foreach unit,$(sort $(notdir $(wildcard etc/systemd/*))),\
		644:$(BUILD)/etc/systemd/$(unit):$(UNITDIR)/$(unit)) \
	644:$(BUILD)/etc/catlatch.sysusers:$(SYSUSERSDIR)/catlatch.conf \
	644:$(BUILD)/etc/catlatch.tmpfiles:$(TMPFILESDIR)/catlatch.conf
INSTALLED += $(if $(SYSTEM),$(SYSTEM_INSTALLED))
LINKED := $(LIBDIR)/libcatlatch.so.$(SOVERSION) $(LIBDIR)/libcatlatch.so
field = $(word $(1),$(subst :, ,$(2)))

install: all $(BUILD)/etc/catlatch.ini $(foreach file,$(INSTALLED),$(call field,2,$(file)))
	@set -e; $(foreach file,$(INSTALLED),install -D -m $(call field,1,$(file)) \
		$(call field,2,$(file)) $(DESTDIR)$(call field,3,$(file));)
	ln -sf $(notdir $(LIBRARY)) $(DESTDIR)$(LIBDIR)/libcatlatch.so.$(SOVERSION)
	ln -sf libcatlatch.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libcatlatch.so
	install -d $(DESTDIR)$(SYSCONFDIR)/catlatch/conf.d $(if $(SYSTEM),,$(addprefix $(DESTDIR), \
		$(LOCALSTATEDIR)/lib $(RUNSTATEDIR)))
	test -e $(DESTDIR)$(SYSCONFDIR)/catlatch/catlatch.ini || \
		install -m 644 $(BUILD)/etc/catlatch.ini $(DESTDIR)$(SYSCONFDIR)/catlatch/catlatch.ini

# Configuration and keys stay. Python leaves what it compiled beside its source.
uninstall:
	rm -rf $(DESTDIR)$(PYTHONDIR)/catlatch/__pycache__
	rm -f $(addprefix $(DESTDIR),$(foreach file,$(INSTALLED),$(call field,3,$(file))) $(LINKED))
	-rmdir $(DESTDIR)$(PYTHONDIR)/catlatch 2>/dev/null

# The packages are built from a copy of this folder: debian/ is etc/debian/.
DEB := $(BUILD)/deb
deb: deps
	rm -rf $(DEB)
	mkdir -p $(DEB)/catlatch-$(VERSION)
	tar -cf - --exclude=./build --exclude=./$(BUILD) --exclude-vcs . | tar -xf - -C $(DEB)/catlatch-$(VERSION)
	cp -R etc/debian $(DEB)/catlatch-$(VERSION)/debian
	cd $(DEB)/catlatch-$(VERSION) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD -u PREFIX -u DESTDIR LC_ALL=C.UTF-8 \
		DEB_BUILD_OPTIONS="nocheck parallel=$$(nproc)" dpkg-buildpackage -us -uc >../build.log 2>&1 || \
		{ tail -n 40 ../build.log; exit 1; }
	ls $(DEB)/*.deb

clean:
	rm -rf build

-include $(shell find $(BUILD) -path $(DEB) -prune -o -name "*.d" -type f -print 2>/dev/null)
