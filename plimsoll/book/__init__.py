"""The matching engine: takes signed limit orders, keeps a book a market in price-time priority, settles what crosses.

It holds nobody's money. What it can do is choose whether to bring a match to the chain; the contracts check each again.
"""
