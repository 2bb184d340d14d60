"""A report with made-up findings over made-up prices, shaped like what a replay of a crash finds."""

from collections.abc import Mapping
from decimal import Decimal

from plimsoll.core.units import SECONDS_PER_MINUTE, WAD, mul_div_trunc, to_wad
from plimsoll.dashboard.report import Delay, LiquidationEvent, LiquidationKind, MarketRow, ReplayReport, SeriesRow
from plimsoll.risk.scenario.bar import CRASH_CENTRE, Bars
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.prices import align, window
from plimsoll.risk.scenario.synthetic import synthetic_crash

ACCOUNTS = 240
SCALE = 300_000 * WAD
FUND = 1_000_000 * WAD
KINDS: tuple[LiquidationKind, ...] = ("closeout", "takeover", "absorbed")


def made_up_report(hours: int = 24, seed: int = 1) -> ReplayReport:
    """Liquidations follow the fall of ETH below its running high; everything else follows them."""
    prices = {market: window(bars, CRASH_CENTRE + 540, hours) for market, bars in align(synthetic_crash(seed)).items()}
    draws = Draws(seed, "made-up report")
    start = len(prices["ETH"]) // 2 - 60
    counts = dict.fromkeys(KINDS, 0)
    fund, debt, share = FUND, 0, WAD
    rates = dict.fromkeys(prices, 0)
    lowest = prices["ETH"][0].close
    rows, events = [], []
    for minute, bar in enumerate(prices["ETH"]):
        fresh_low = minute > start and bar.low < lowest
        lowest = min(lowest, bar.low) if minute > start else bar.low
        for _ in range(draws.below(6) if fresh_low else 0):
            kind = draws.weighted([(KINDS[0], 12), (KINDS[1], 4), (KINDS[2], 1)])
            event = _event(kind, bar.ts + draws.below(60), prices, minute, draws)
            events.append(event)
            counts[kind] += 1
            fund += event.insurance_usd
            debt += max(0, -event.insurance_usd)
            share += event.notional_usd // 400_000_000
        gone = sum(counts.values())
        opened = min(ACCOUNTS, max(0, (minute - start + 60) * 4))
        markets = {}
        for place, (market, bars) in enumerate(prices.items()):
            long = opened * (40 - 30 * place) * WAD - gone * (38 - 28 * place) * WAD
            short = opened * (22 - 17 * place) * WAD - gone * (5 - 4 * place) * WAD
            long, short = max(long, opened * 4 * WAD), max(short, opened * 3 * WAD)
            rates[market] += (long - short) // 3_000_000 - rates[market] // 900
            markets[market] = MarketRow(
                price=bars[minute].close,
                mark=bars[minute].close + mul_div_trunc(bars[minute].close, long - short, SCALE),
                long_oi=long,
                short_oi=short,
                skew=long - short,
                funding_rate=rates[market],
            )
        share += (draws.below(2_001) - 1_000) * WAD // 10**9 * (opened > 0)
        fall = (
            max(0, prices["ETH"][start].close - bar.close) * 100 // prices["ETH"][start].close if minute > start else 0
        )
        rows.append(
            SeriesRow(
                ts=bar.ts,
                markets=markets,
                health=_health(opened - gone * 3 // 10, fall, draws),
                closeouts=counts["closeout"],
                takeovers=counts["takeover"],
                absorbed=counts["absorbed"],
                insurance_usd=fund,
                pool_share_price=share,
                bad_debt_usd=debt,
                pool_usd=opened * 60_000 * WAD,
                matched_usd=opened * 20_000 * WAD,
                liquidated_usd=sum(abs(event.notional_usd) for event in events),
            )
        )
    return ReplayReport(
        title="Replay: the crash of 19 May 2021",
        prices_source=f"synthetic crash of ETH and BTC, seed {seed}, 1-minute bars",
        minutes=len(rows) * SECONDS_PER_MINUTE // 60,
        accounts=ACCOUNTS,
        fills=ACCOUNTS + 58 + sum(counts.values()),
        closeouts=counts["closeout"],
        takeovers=counts["takeover"],
        absorbed=counts["absorbed"],
        bad_debt_usd=debt,
        insurance_start_usd=FUND,
        insurance_end_usd=fund,
        pool_share_price_start=WAD,
        pool_share_price_end=share,
        keeper_rewards_usd=sum(event.keeper_usd for event in events),
        liquidation_delay_blocks=Delay(median=Decimal("1.5"), max=14),
        sum_base=dict.fromkeys(prices, 0),
        vault_tokens_minus_claims=3_412,
        vault_dust_bound=10_000,
        model_mismatches=0,
        model_comparisons=41_280,
        matches=795,
        matched_usd=4_800_000 * WAD,
        stops_executed=77,
        take_profits_executed=34,
        orders_voided=104,
        relayed=305,
        delegated=265,
        gas={
            "place market order": 78_214,
            "execute market order": 214_903,
            "close-out": 268_120,
            "take-over": 301_877,
            "absorption, two markets": 412_350,
            "record prices, two markets": 96_441,
        },
        wall_seconds=Decimal("142.7"),
        series=tuple(rows),
        events=tuple(events),
    )


def _event(kind: LiquidationKind, ts: int, prices: Mapping[str, Bars], minute: int, draws: Draws) -> LiquidationEvent:
    market = draws.weighted([(market, 1) for market in prices])
    notional = draws.between(2_000, 90_000) * WAD
    price = prices[market][minute].close
    penalty = notional * 75 // 10_000
    bankrupt = kind == "absorbed"
    return LiquidationEvent(
        ts=ts,
        kind=kind,
        account=f"trader-{draws.below(ACCOUNTS):03d}",
        market=market,
        base=mul_div_trunc(notional, WAD, price) * (1 if draws.below(10) else -1),
        price=price,
        notional_usd=notional,
        health=-draws.between(1, 30) * WAD // 100 if bankrupt else draws.between(40, 99) * WAD // 100,
        penalty_usd=0 if bankrupt else penalty,
        keeper_usd=to_wad("0.4") if bankrupt else penalty * 3 // 10,
        insurance_usd=-notional * draws.between(1, 12) // 1_000 if bankrupt else penalty * 7 // 10,
        delay_blocks=draws.below(15) if draws.below(3) == 0 else 1,
    )


def _health(accounts: int, fall: int, draws: Draws) -> tuple[int, ...]:
    """Accounts spread over the buckets, further down the deeper the fall (in percent)."""
    weights = [0, fall // 14, fall // 4 + (fall > 3), 2 + fall, 12 + fall, 48, max(4, 30 - fall // 2)]
    total = sum(weights)
    counts = [accounts * weight // total for weight in weights]
    counts[0] = int(fall > 25 and draws.below(4) == 0)
    counts[4] += max(0, accounts - sum(counts))
    return tuple(counts)
