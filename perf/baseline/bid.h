// Where a NEXMark bid's fields lie: its layout follows from the schema and the pinned record format
// and is checked against the generator's schema by rows_open.
#pragma once

enum {
	BID_VARIANT = 2,
	BID_AUCTION = 16,
	BID_BIDDER = 24,
	BID_PRICE = 32,
	BID_TIME = 40,
};
