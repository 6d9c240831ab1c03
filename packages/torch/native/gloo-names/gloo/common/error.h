// Nothing of it is named; see rendezvous/store.h.
#pragma once
