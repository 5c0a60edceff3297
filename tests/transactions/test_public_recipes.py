"""Every shipped recipe on a small file in the very form that people download."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fraudnet.errors import InputError
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe, shipped_recipes

Columns = dict[str, list[Any]]

TYPES = {"timestamp": pa.timestamp("us", tz="UTC"), "is_fraud": pa.int8()}
TYPES |= dict.fromkeys(("amount", "city_pop", "lat", "long", "merch_lat"), pa.float64())
TYPES |= dict.fromkeys(("merch_long", "amount_received", "distance"), pa.float64())

HANDBOOK = """\
transaction_id,timestamp,account_id,counterparty_id,amount,is_fraud,fraud_scenario
0,2018-04-01 00:00:31,596,3156,57.16,0,0
1,2018-04-01 00:02:10,4961,3412,81.51,0,0
3527,2018-04-01 10:17:43,3774,3059,225.41,1,1
"""
SPARKOV = """\
,trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,\
long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud
0,2019-01-01 00:00:18,2703186189652095,"fraud_Rippin, Kub and Mann",misc_net,4.97,Jennifer,Banks,\
F,561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",\
1988-03-09,0b242abb623afc578575680df3065e55,1325376018,36.011293,-82.048315,0
1,2019-01-01 00:00:44,630423337322,"fraud_Heller, Gutmann and Zieme",grocery_pos,107.23,Stephanie,\
Gill,F,43039 Riley Greens Suite 393,Orient,WA,99160,48.8878,-118.2105,149,Special educational \
needs teacher,1978-06-21,1f76529f8574734946361c461b024d99,1325376044,49.159046999999994,\
-118.186462,1
"""
TABFORMER = """\
User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,\
Errors?,Is Fraud?
0,0,2002,9,1,06:21,$134.09,Swipe Transaction,3527213246127876953,La Verne,CA,91750.0,5300,,No
0,1,2002,9,1,06:42,$-77.00,Swipe Transaction,-727612092139916043,Monterey Park,CA,91754.0,5411,,No
1999,4,2020,12,31,23:59,$1200.00,Online Transaction,-9092677072201095172, ONLINE,,,4784,\
"Bad PIN,Insufficient Balance",Yes
"""
BANKSIM = """\
step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud
0,'C1093826151','4','M','28007','M348934600','28007','es_transportation',4.55,0
0,'C352968107','2','M','28007','M348934600','28007','es_transportation',39.68,0
179,'C1350963410','U','E','28007','M480139044','28007','es_health',323.64,1
"""
PAYSIM = """\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,\
isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0
743,CASH_OUT,850002.52,C1280323807,850002.52,0.0,C873221189,6510099.11,7360101.63,1,0
"""
IBM_AML = """\
Timestamp,From Bank,Account,To Bank,Account,Amount Received,Receiving Currency,Amount Paid,\
Payment Currency,Payment Format,Is Laundering
2022/09/01 00:20,010,8000EBD30,010,8000EBD30,3697.34,US Dollar,3697.34,US Dollar,Reinvestment,0
2022/09/01 00:00,03208,8000F4580,001,8000F5340,0.01,US Dollar,0.01,US Dollar,Cheque,0
2022/09/10 23:59,0070,100428660,0124,80010E030,0.000124,Bitcoin,1.06,Euro,ACH,1
"""
S_FFSD = """\
Time,Source,Target,Amount,Location,Type,Labels
1,S10000,T1000,13.74,L100,TP100,2
2,S10001,T1001,73.17,L101,TP101,0
77880,S10002,T1000,25.05,L100,TP100,1
"""
IEEE_HEADER = (
    "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,"
    "card6,addr1,addr2,dist1,dist2,P_emaildomain,R_emaildomain"
)
IEEE_LAST = [
    f"{letter}{at}"
    for letter, count in (("C", 14), ("D", 15), ("M", 9), ("V", 339))
    for at in range(1, count + 1)
]
IEEE_CIS = "".join(
    ",".join([first, *last]) + "\n"
    for first, last in (
        (IEEE_HEADER, IEEE_LAST),
        (
            "2987000,0,86400,68.5,W,13926,,150.0,discover,142.0,credit,315.0,87.0,19.0,,,",
            ["1.0" if at % 3 else "" for at in range(377)],
        ),
        (
            "2987001,1,86401,29.0,W,2755,404.0,150.0,mastercard,102.0,credit,,,,,gmail.com,aol.com",
            ["T" if name[0] == "M" else "" for name in IEEE_LAST],
        ),
        (
            "2987002,0,15811131,279.95,H,17188,321.0,150.0,,226.0,debit,299.0,87.0,,,me.com,",
            ["0.0"] * 377,
        ),
    )
)
DOWNLOADS = {
    "handbook": HANDBOOK,
    "sparkov": SPARKOV,
    "tabformer": TABFORMER,
    "banksim": BANKSIM,
    "paysim": PAYSIM,
    "ibm-aml": IBM_AML,
    "s-ffsd": S_FFSD,
    "ieee-cis": IEEE_CIS,
}


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def read(folder: Path, recipe: str, text: str, name: str = "download.csv") -> Transactions:
    return read_transactions(written(folder / name, text), load_recipe(recipe))


def times(*texts: str) -> list[datetime]:
    return [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]


def check(read: Transactions, expected: Columns) -> None:
    """Every column, type and value is as expected, and every row is used."""
    assert read.table.to_pydict() == expected
    assert read.table.column_names == list(expected)
    assert read.table.schema.types == [TYPES.get(name, pa.string()) for name in expected]
    rows = len(expected["amount"])
    assert (read.report.rows_in, read.report.rows_used) == (rows, rows)
    assert read.report.unread == []


def without(text: str, *names: str) -> str:
    """The file without the columns of these names."""
    quote = "'" if "'" in text else '"'
    records = list(csv.reader(io.StringIO(text), quotechar=quote))
    kept = [at for at, name in enumerate(records[0]) if name not in names]
    target = io.StringIO()
    writer = csv.writer(target, quotechar=quote, lineterminator="\n")
    writer.writerows([record[at] for at in kept] for record in records)
    return target.getvalue()


def test_every_shipped_recipe_has_a_download_here() -> None:
    assert {*DOWNLOADS, "canonical"} == set(shipped_recipes())


@pytest.mark.parametrize("name", DOWNLOADS)
def test_what_a_download_lacks_is_null_or_not_there_and_never_made_up(
    tmp_path: Path, name: str
) -> None:
    recipe = load_recipe(name)
    assert recipe.is_fraud is not None
    whole = read(tmp_path, name, DOWNLOADS[name]).table
    lacking = [our for our in recipe.source_columns if recipe.may_lack(our)]
    named = {each for our in lacking for each in recipe.source_columns[our]}
    needed = {
        each for our, parts in recipe.source_columns.items() if our not in lacking for each in parts
    }
    bare = read(tmp_path, name, without(DOWNLOADS[name], *(named - needed)))
    gone = {our for our in lacking if not set(recipe.source_columns[our]) <= needed}
    assert set(bare.report.absent) == gone
    always = {"transaction_id", "timestamp", "account_id", "counterparty_id", "amount"}
    always |= {"category", "is_fraud"}
    assert set(bare.table.column_names) == always | (set(whole.column_names) - gone)
    for our in bare.table.column_names:
        if our == "transaction_id" and our in gone:
            assert bare.table[our].to_pylist() == [str(at + 2) for at in range(len(whole))]
        elif our in gone:
            assert bare.table[our].null_count == len(whole)
        else:
            assert bare.table[our].equals(whole[our])
    with pytest.raises(InputError, match=r"there is no column '.*; training needs frauds and gen"):
        read_transactions(tmp_path / "download.csv", recipe, ReadOptions(require_labels=True))


def test_handbook(tmp_path: Path) -> None:
    check(
        read(tmp_path, "handbook", HANDBOOK),
        {
            "transaction_id": ["0", "1", "3527"],
            "timestamp": times("2018-04-01 00:00:31", "2018-04-01 00:02:10", "2018-04-01 10:17:43"),
            "account_id": ["596", "4961", "3774"],
            "counterparty_id": ["3156", "3412", "3059"],
            "amount": [57.16, 81.51, 225.41],
            "category": [None, None, None],
            "is_fraud": [0, 0, 1],
            "fraud_kind": ["0", "0", "1"],
        },
    )


def test_handbook_as_the_published_pickles_name_the_columns(tmp_path: Path) -> None:
    text = (
        "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,"
        "TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO\n"
        "0,2018-04-01 00:00:31,596,3156,57.16,31,0,0,0\n"
    )
    (row,) = read(tmp_path, "handbook", text).table.to_pylist()
    assert (row["account_id"], row["counterparty_id"], row["amount"]) == ("596", "3156", 57.16)


SPARKOV_COLUMNS: Columns = {
    "transaction_id": ["0b242abb623afc578575680df3065e55", "1f76529f8574734946361c461b024d99"],
    "timestamp": times("2019-01-01 00:00:18", "2019-01-01 00:00:44"),
    "account_id": ["2703186189652095", "630423337322"],
    "counterparty_id": ["Rippin, Kub and Mann", "Heller, Gutmann and Zieme"],
    "amount": [4.97, 107.23],
    "category": ["misc_net", "grocery_pos"],
    "is_fraud": [0, 1],
    "city_pop": [3495.0, 149.0],
    "lat": [36.0788, 48.8878],
    "long": [-81.1781, -118.2105],
    "merch_lat": [36.011293, 49.159046999999994],
    "merch_long": [-82.048315, -118.186462],
}


@pytest.mark.parametrize(
    "text",
    [
        SPARKOV,
        without(SPARKOV, ""),  # the column without a name counts the rows
        "\ufeff" + SPARKOV,
        "\ufeff" + without(SPARKOV, "").replace("\n", "\r\n"),
    ],
)
def test_sparkov(tmp_path: Path, text: str) -> None:
    check(read(tmp_path, "sparkov", text, "fraudTrain.csv"), SPARKOV_COLUMNS)


@pytest.mark.parametrize(
    ("first", "second"),
    [("21/06/2020 12:14", "03/07/2020 09:05"), ("6/21/20 12:14", "7/3/20 9:05")],
)
def test_sparkov_with_the_dates_of_a_spreadsheet(tmp_path: Path, first: str, second: str) -> None:
    text = SPARKOV.replace("2019-01-01 00:00:18", first).replace("2019-01-01 00:00:44", second)
    expected = times("2020-06-21 12:14", "2020-07-03 09:05")
    check(read(tmp_path, "sparkov", text), SPARKOV_COLUMNS | {"timestamp": expected})


def test_sparkov_with_rounded_cards_is_refused_as_lost(tmp_path: Path) -> None:
    text = SPARKOV.replace("2703186189652095", "2.70E+15").replace("630423337322", "6.30E+11")
    with pytest.raises(InputError) as caught:
        read(tmp_path, "sparkov", text)
    assert str(caught.value) == (
        f"{tmp_path / 'download.csv'}: 2 of 2 rows cannot be used, none is left; most often "
        "account_id is a rounded number (such as 2.70E+15 or 12.0), which identifies nothing "
        "(2 of them, first in line 2: '2.70E+15'); mend the rows or the recipe (such identifiers "
        "are lost: write the file again from where they are text)"
    )


def test_sparkov_without_is_fraud_is_unlabelled(tmp_path: Path) -> None:
    whole = read(tmp_path, "sparkov", without(SPARKOV, "is_fraud"))
    check(whole, SPARKOV_COLUMNS | {"is_fraud": [None, None]})
    assert (whole.report.labelled_share, whole.report.fraud_share) == (0.0, None)


def test_tabformer(tmp_path: Path) -> None:
    check(
        read(tmp_path, "tabformer", TABFORMER, "card_transaction.v1.csv"),
        {
            "transaction_id": ["2", "3", "4"],
            "timestamp": times("2002-09-01 06:21", "2002-09-01 06:42", "2020-12-31 23:59"),
            "account_id": ["0-0", "0-1", "1999-4"],
            "counterparty_id": [
                "3527213246127876953",
                "-727612092139916043",
                "-9092677072201095172",
            ],
            "amount": [134.09, -77.0, 1200.0],
            "category": ["5300", "5411", "4784"],
            "is_fraud": [0, 0, 1],
            "chip": ["Swipe Transaction", "Swipe Transaction", "Online Transaction"],
            "state": ["CA", "CA", None],
            "errors": [None, None, "Bad PIN,Insufficient Balance"],
        },
    )


def test_banksim(tmp_path: Path) -> None:
    check(
        read(tmp_path, "banksim", BANKSIM, "bs140513_032310.csv"),
        {
            "transaction_id": ["2", "3", "4"],
            "timestamp": times("2013-01-01", "2013-01-01", "2013-06-29"),
            "account_id": ["C1093826151", "C352968107", "C1350963410"],
            "counterparty_id": ["M348934600", "M348934600", "M480139044"],
            "amount": [4.55, 39.68, 323.64],
            "category": ["es_transportation", "es_transportation", "es_health"],
            "is_fraud": [0, 0, 1],
            "age": ["4", "2", "U"],
            "gender": ["M", "M", "E"],
        },
    )


def test_paysim(tmp_path: Path) -> None:
    check(
        read(tmp_path, "paysim", PAYSIM, "PS_20174392719_1491204439457_log.csv"),
        {
            "transaction_id": ["2", "3", "4"],
            "timestamp": times("2017-01-01 01:00", "2017-01-01 01:00", "2017-01-31 23:00"),
            "account_id": ["M1979787155", "C553264065", "C873221189"],
            "counterparty_id": ["C1231006815", "C1305486145", "C1280323807"],
            "amount": [9839.64, 181.0, 850002.52],
            "category": ["PAYMENT", "TRANSFER", "CASH_OUT"],
            "is_fraud": [0, 1, 1],
            "sender_balance_before": ["170136.0", "181.0", "850002.52"],
            "sender_balance_after": ["160296.36", "0.0", "0.0"],
            "receiver_balance_before": ["0.0", "0.0", "6510099.11"],
            "receiver_balance_after": ["0.0", "0.0", "7360101.63"],
            "flagged_by_rule": ["0", "0", "0"],
        },
    )


@pytest.mark.parametrize("receiver", ["Account", "Account.1"])  # as pandas writes it again
def test_ibm_aml(tmp_path: Path, receiver: str) -> None:
    text = IBM_AML.replace("To Bank,Account", f"To Bank,{receiver}")
    check(
        read(tmp_path, "ibm-aml", text, "HI-Small_Trans.csv"),
        {
            "transaction_id": ["2", "3", "4"],
            "timestamp": times("2022-09-01 00:20", "2022-09-01 00:00", "2022-09-10 23:59"),
            "account_id": ["010-8000EBD30", "03208-8000F4580", "0070-100428660"],
            "counterparty_id": ["010-8000EBD30", "001-8000F5340", "0124-80010E030"],
            "amount": [3697.34, 0.01, 1.06],
            "category": ["Reinvestment", "Cheque", "ACH"],
            "is_fraud": [0, 0, 1],
            "currency": ["US Dollar", "US Dollar", "Euro"],
            "receiving_currency": ["US Dollar", "US Dollar", "Bitcoin"],
            "amount_received": [3697.34, 0.01, 0.000124],
        },
    )


def test_s_ffsd(tmp_path: Path) -> None:
    whole = read(tmp_path, "s-ffsd", S_FFSD, "S-FFSD.csv")
    check(
        whole,
        {
            "transaction_id": ["2", "3", "4"],
            "timestamp": times("2020-01-01 00:01:00", "2020-01-01 00:02:00", "2020-02-24 02:00:00"),
            "account_id": ["S10000", "S10001", "S10002"],
            "counterparty_id": ["T1000", "T1001", "T1000"],
            "amount": [13.74, 73.17, 25.05],
            "category": ["TP100", "TP101", "TP100"],
            "is_fraud": [None, 0, 1],
            "place": ["L100", "L101", "L100"],
        },
    )
    assert whole.report.labelled_share == pytest.approx(2 / 3)
    assert whole.report.fraud_share == pytest.approx(1 / 2)


IEEE_COLUMNS: Columns = {
    "transaction_id": ["2987000", "2987001", "2987002"],
    "timestamp": times("2017-12-02 00:00:00", "2017-12-02 00:00:01", "2018-06-01 23:58:51"),
    "account_id": [
        "13926||150.0|discover|142.0|credit|315.0",
        "2755|404.0|150.0|mastercard|102.0|credit|",
        "17188|321.0|150.0||226.0|debit|299.0",
    ],
    "counterparty_id": [None, "gmail.com", "me.com"],
    "amount": [68.5, 29.0, 279.95],
    "category": ["W", "W", "H"],
    "is_fraud": [0, 1, 0],
    "card_brand": ["discover", "mastercard", None],
    "card_type": ["credit", "credit", "debit"],
    "receiver_domain": [None, "aol.com", None],
    "distance": [19.0, None, None],
}


def test_ieee_cis(tmp_path: Path) -> None:
    check(read(tmp_path, "ieee-cis", IEEE_CIS, "train_transaction.csv"), IEEE_COLUMNS)
    test = without(IEEE_CIS, "isFraud")
    unlabelled = read(tmp_path, "ieee-cis", test, "test_transaction.csv")
    check(unlabelled, IEEE_COLUMNS | {"is_fraud": [None] * 3})


def test_ieee_cis_without_any_part_of_a_card_is_set_aside(tmp_path: Path) -> None:
    empty = "2987003,0,86500,5.0,W" + "," * (IEEE_HEADER.count(",") - 4 + len(IEEE_LAST))
    path = written(tmp_path / "a.csv", f"{IEEE_CIS}{empty}\n")
    whole = read_transactions(path, load_recipe("ieee-cis"), ReadOptions(max_bad_share=0.5))
    assert whole.report.reasons == {"account_id_missing": 1}
    assert whole.report.rows_used == 3
